# patchbay_plugin(name): plugins/<name>/src/*.cpp and manifest.json become plugins/<name>.so; simulator/ and tests/
# are found by the targets that use them.
function(patchbay_plugin name)
  file(GLOB sources CONFIGURE_DEPENDS src/*.cpp src/*.c)
  add_library(plugin_${name} MODULE ${sources})
  set_target_properties(plugin_${name} PROPERTIES
    PREFIX "" OUTPUT_NAME ${name} LIBRARY_OUTPUT_DIRECTORY ${PATCHBAY_PLUGIN_DIRECTORY}
    CXX_VISIBILITY_PRESET hidden C_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  target_link_libraries(plugin_${name} PRIVATE patchbay::plugin_api patchbay_options)

  # The manifest becomes a header that defines PATCHBAY_MANIFEST, a string literal.
  set(generated ${CMAKE_CURRENT_BINARY_DIR}/generated)
  add_custom_command(
    OUTPUT ${generated}/manifest.inc
    COMMAND ${CMAKE_COMMAND} -DINPUT=${CMAKE_CURRENT_SOURCE_DIR}/manifest.json -DOUTPUT=${generated}/manifest.inc
            -P ${CMAKE_SOURCE_DIR}/cmake/embed_manifest.cmake
    DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/manifest.json ${CMAKE_SOURCE_DIR}/cmake/embed_manifest.cmake
    VERBATIM)
  target_sources(plugin_${name} PRIVATE ${generated}/manifest.inc)
  target_include_directories(plugin_${name} PRIVATE ${generated})

  # One exported symbol, no unresolved ones, nothing that pins the object in memory.
  target_compile_options(plugin_${name} PRIVATE -fno-semantic-interposition
    $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-fno-gnu-unique>)
  set(map ${CMAKE_SOURCE_DIR}/plugin-api/plugin.map)
  target_link_options(plugin_${name} PRIVATE -Wl,--version-script=${map} -Wl,-z,now,-z,relro)
  if(NOT PATCHBAY_SANITIZE)
    target_link_options(plugin_${name} PRIVATE -Wl,-z,defs)  # a sanitizer's runtime is found in the host
  endif()
  set_target_properties(plugin_${name} PROPERTIES LINK_DEPENDS ${map})
  set_property(GLOBAL APPEND PROPERTY PATCHBAY_PLUGINS plugin_${name})
endfunction()
