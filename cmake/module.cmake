# patchbay_module(name DEPENDS module... LIBRARIES target...)
#
# One static library for the folder host/<name>, from all its sources. Its headers are included as
# "<name>/header.hpp", and can be found only by those that name it in DEPENDS (or reach it through one):
# the include path of a module is a folder that holds nothing but a link to it. So an include that the
# picture in docs/architecture.md does not allow does not build.

# Bottom first. A module may depend on modules of a lower row only.
set(PATCHBAY_ROWS
  "core" "store" "journal flow" "egress" "plugin identity" "schedule vault kit" "engine" "api" "gateway" "app")

function(patchbay_row name out)
  set(row 0)
  foreach(line IN LISTS PATCHBAY_ROWS)
    string(REPLACE " " ";" names "${line}")
    if(name IN_LIST names)
      set(${out} ${row} PARENT_SCOPE)
      return()
    endif()
    math(EXPR row "${row} + 1")
  endforeach()
  message(FATAL_ERROR "${name} is not a module: see PATCHBAY_ROWS in cmake/module.cmake")
endfunction()

# Precompiled standard headers, the same for every module.
file(WRITE ${CMAKE_BINARY_DIR}/pch/pch.cpp "")
add_library(patchbay_pch STATIC ${CMAKE_BINARY_DIR}/pch/pch.cpp)
target_link_libraries(patchbay_pch PRIVATE patchbay_options Threads::Threads)
target_precompile_headers(patchbay_pch PRIVATE
  <algorithm> <array> <atomic> <chrono> <condition_variable> <cstdint> <cstring> <deque> <expected> <filesystem>
  <fstream> <functional> <map> <memory> <mutex> <optional> <span> <string> <string_view> <thread> <unordered_map>
  <utility> <variant> <vector>)

function(patchbay_module name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "DEPENDS;LIBRARIES;PUBLIC_LIBRARIES")
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS *.cpp)
  list(FILTER sources EXCLUDE REGEX "/main\\.cpp$")
  patchbay_row(${name} row)
  if(NOT sources)
    file(WRITE ${CMAKE_BINARY_DIR}/empty.cpp "")
    set(sources ${CMAKE_BINARY_DIR}/empty.cpp)
  endif()
  add_library(patchbay_${name} STATIC ${sources})
  add_library(patchbay::${name} ALIAS patchbay_${name})
  foreach(other IN LISTS arg_DEPENDS)
    patchbay_row(${other} below)
    if(NOT below LESS row)
      message(FATAL_ERROR "${name} must not depend on ${other}: it does not stand below it")
    endif()
    target_link_libraries(patchbay_${name} PUBLIC patchbay_${other})
  endforeach()
  set(include ${CMAKE_BINARY_DIR}/include/${name})
  file(MAKE_DIRECTORY ${include})
  file(CREATE_LINK ${CMAKE_CURRENT_SOURCE_DIR} ${include}/${name} SYMBOLIC)
  target_include_directories(patchbay_${name} PUBLIC ${include})
  target_link_libraries(patchbay_${name} PUBLIC ${arg_PUBLIC_LIBRARIES} PRIVATE patchbay_options ${arg_LIBRARIES} Threads::Threads)
  target_precompile_headers(patchbay_${name} REUSE_FROM patchbay_pch)
endfunction()
