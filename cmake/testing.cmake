# patchbay_test(name SOURCES file... LIBRARIES target... LABELS label... TIMEOUT seconds): one GoogleTest program,
# each of its tests known to ctest by itself.
include(GoogleTest)

function(patchbay_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "SERIAL" "TIMEOUT;EXCEPT" "SOURCES;LIBRARIES;LABELS")
  if(NOT arg_SOURCES)
    return()
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 60)
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE patchbay_options ${arg_LIBRARIES} GTest::gtest GTest::gmock GTest::gtest_main Threads::Threads)
  target_compile_definitions(${name} PRIVATE
    PATCHBAY_SOURCE_DIRECTORY="${CMAKE_SOURCE_DIR}" PATCHBAY_BUILD_DIRECTORY="${CMAKE_BINARY_DIR}")
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  set(filter "")
  if(arg_EXCEPT)
    set(filter TEST_FILTER "-${arg_EXCEPT}")
  endif()
  gtest_discover_tests(${name} ${filter} DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT ${arg_TIMEOUT} LABELS "${arg_LABELS}"
    $<$<BOOL:${arg_SERIAL}>:RUN_SERIAL> $<$<BOOL:${arg_SERIAL}>:TRUE>)
endfunction()
