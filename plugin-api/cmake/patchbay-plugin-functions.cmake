# How a provider becomes a plugin: the functions of the CMake package patchbay-plugin, which Patchbay's own plugins are
# built with, too.
set(PATCHBAY_PLUGIN_CMAKE ${CMAKE_CURRENT_LIST_DIR})

# patchbay_add_plugin(target SOURCES file... [MANIFEST manifest.json] [OUTPUT_NAME name] [OUTPUT_DIRECTORY folder])
#
# A shared object of that name that exports pbay_plugin_v1 and nothing else. Sources are C or C++, or one Rust crate root
# (lib.rs, compiled with rustc). The manifest is found as "manifest.inc": a string literal; Rust includes the JSON file
# itself (env!("PATCHBAY_MANIFEST") is its path).
function(patchbay_add_plugin target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "MANIFEST;OUTPUT_NAME;OUTPUT_DIRECTORY" "SOURCES")
  if(NOT arg_MANIFEST)
    set(arg_MANIFEST ${CMAKE_CURRENT_SOURCE_DIR}/manifest.json)
  endif()
  if(NOT arg_OUTPUT_NAME)
    set(arg_OUTPUT_NAME ${target})
  endif()
  if(NOT arg_OUTPUT_DIRECTORY)
    set(arg_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR})
  endif()
  if(arg_SOURCES MATCHES "\\.rs$")
    patchbay_add_rust_plugin(${target} ${arg_SOURCES} ${arg_MANIFEST} ${arg_OUTPUT_DIRECTORY}/${arg_OUTPUT_NAME}.so)
    return()
  endif()

  add_library(${target} MODULE ${arg_SOURCES})
  set_target_properties(${target} PROPERTIES
    PREFIX "" SUFFIX ".so" OUTPUT_NAME ${arg_OUTPUT_NAME} LIBRARY_OUTPUT_DIRECTORY ${arg_OUTPUT_DIRECTORY}
    POSITION_INDEPENDENT_CODE ON CXX_VISIBILITY_PRESET hidden C_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  target_link_libraries(${target} PRIVATE patchbay::plugin_api)
  if(CMAKE_CXX_COMPILER_LOADED)
    target_compile_features(${target} PRIVATE cxx_std_20)
  endif()

  set(generated ${CMAKE_CURRENT_BINARY_DIR}/generated/${target})
  foreach(language CXX C)
    add_custom_command(
      OUTPUT ${generated}/${language}/manifest.inc
      COMMAND ${CMAKE_COMMAND} -DINPUT=${arg_MANIFEST} -DOUTPUT=${generated}/${language}/manifest.inc -DLANGUAGE=${language}
              -P ${PATCHBAY_PLUGIN_CMAKE}/embed_manifest.cmake
      DEPENDS ${arg_MANIFEST} ${PATCHBAY_PLUGIN_CMAKE}/embed_manifest.cmake
      VERBATIM)
    target_sources(${target} PRIVATE ${generated}/${language}/manifest.inc)
    target_include_directories(${target} PRIVATE $<$<COMPILE_LANGUAGE:${language}>:${generated}/${language}>)
  endforeach()

  # One exported symbol, no unresolved ones, nothing that pins the object in memory.
  target_compile_options(${target} PRIVATE -fno-semantic-interposition $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-fno-gnu-unique>)
  target_link_options(${target} PRIVATE -Wl,--version-script=${PATCHBAY_PLUGIN_CMAKE}/plugin.map -Wl,-z,now,-z,relro)
  if(NOT PATCHBAY_SANITIZE)
    target_link_options(${target} PRIVATE -Wl,-z,defs)  # a sanitizer's runtime is found in the host
  endif()
  set_target_properties(${target} PROPERTIES LINK_DEPENDS ${PATCHBAY_PLUGIN_CMAKE}/plugin.map)
endfunction()

# Without the standard library, so that nothing of the system is imported.
function(patchbay_add_rust_plugin target root manifest output)
  find_program(RUSTC rustc REQUIRED HINTS $ENV{HOME}/.cargo/bin)
  get_filename_component(root ${root} ABSOLUTE)
  get_filename_component(folder ${root} DIRECTORY)
  file(GLOB sources CONFIGURE_DEPENDS ${folder}/*.rs)
  get_filename_component(output_folder ${output} DIRECTORY)
  add_custom_command(
    OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${output_folder}
    COMMAND ${CMAKE_COMMAND} -E env PATCHBAY_MANIFEST=${manifest} ${RUSTC} --edition 2021 --crate-type cdylib --crate-name ${target}
            -C panic=abort -C opt-level=2 -C link-arg=-Wl,-z,now -o ${output} ${root}
    DEPENDS ${sources} ${manifest}
    VERBATIM)
  add_custom_target(${target} ALL DEPENDS ${output})
  set_target_properties(${target} PROPERTIES PATCHBAY_FILE ${output})
endfunction()

# patchbay_test_plugin(target scenario.json...): each scenario is a test, and so is `patchbay plugin check`.
function(patchbay_test_plugin target)
  find_program(PATCHBAY patchbay HINTS ${PATCHBAY_PLUGIN_BIN} REQUIRED)
  get_target_property(file ${target} PATCHBAY_FILE)
  if(NOT file)
    set(file $<TARGET_FILE:${target}>)
  endif()
  foreach(scenario IN LISTS ARGN)
    get_filename_component(name ${scenario} NAME_WE)
    get_filename_component(scenario ${scenario} ABSOLUTE)
    add_test(NAME ${target}.${name} COMMAND ${PATCHBAY} plugin test ${file} ${scenario})
  endforeach()
  add_test(NAME ${target}.check COMMAND ${PATCHBAY} plugin check ${file} --grade gold)
endfunction()
