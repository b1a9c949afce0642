# patchbay_plugin(name): plugins/<name>/src/*.cpp and manifest.json become plugins/<name>.so; simulator/ and tests/
# are found by the targets that use them.
function(patchbay_plugin name)
  patchbay_plugin_library(plugin_${name} ${name} ${CMAKE_CURRENT_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR}/manifest.json
                          ${PATCHBAY_PLUGIN_DIRECTORY})
  set_property(GLOBAL APPEND PROPERTY PATCHBAY_PLUGINS plugin_${name})
endfunction()

# patchbay_plugin_library(target name folder manifest output): the provider of that folder with this manifest, as
# <output>/<name>.so.
function(patchbay_plugin_library target name folder manifest output)
  file(GLOB sources CONFIGURE_DEPENDS ${folder}/src/*.cpp ${folder}/src/*.c)
  add_library(${target} MODULE ${sources})
  set_target_properties(${target} PROPERTIES
    PREFIX "" OUTPUT_NAME ${name} LIBRARY_OUTPUT_DIRECTORY ${output}
    CXX_VISIBILITY_PRESET hidden C_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  target_link_libraries(${target} PRIVATE patchbay::plugin_api patchbay_options)

  # The manifest becomes a header that defines PATCHBAY_MANIFEST, a string literal.
  set(generated ${CMAKE_CURRENT_BINARY_DIR}/generated/${target})
  add_custom_command(
    OUTPUT ${generated}/manifest.inc
    COMMAND ${CMAKE_COMMAND} -DINPUT=${manifest} -DOUTPUT=${generated}/manifest.inc
            -P ${CMAKE_SOURCE_DIR}/cmake/embed_manifest.cmake
    DEPENDS ${manifest} ${CMAKE_SOURCE_DIR}/cmake/embed_manifest.cmake
    VERBATIM)
  target_sources(${target} PRIVATE ${generated}/manifest.inc)
  target_include_directories(${target} PRIVATE ${generated})

  # One exported symbol, no unresolved ones, nothing that pins the object in memory.
  target_compile_options(${target} PRIVATE -fno-semantic-interposition
    $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-fno-gnu-unique>)
  set(map ${CMAKE_SOURCE_DIR}/plugin-api/plugin.map)
  target_link_options(${target} PRIVATE -Wl,--version-script=${map} -Wl,-z,now,-z,relro)
  if(NOT PATCHBAY_SANITIZE)
    target_link_options(${target} PRIVATE -Wl,-z,defs)  # a sanitizer's runtime is found in the host
  endif()
  set_target_properties(${target} PROPERTIES LINK_DEPENDS ${map})
endfunction()
