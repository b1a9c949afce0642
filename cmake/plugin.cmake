include(${CMAKE_SOURCE_DIR}/plugin-api/cmake/patchbay-plugin-functions.cmake)

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
  patchbay_add_plugin(${target} SOURCES ${sources} MANIFEST ${manifest} OUTPUT_NAME ${name} OUTPUT_DIRECTORY ${output})
  target_link_libraries(${target} PRIVATE patchbay_options)
endfunction()
