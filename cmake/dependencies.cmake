# Every library that Patchbay takes from Debian 12, by one name each. tools/deps lists the packages.

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(Boost 1.81 EXACT REQUIRED COMPONENTS url)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(simdjson REQUIRED)
find_package(nlohmann_json QUIET)
find_package(prometheus-cpp REQUIRED COMPONENTS core)
find_package(GTest REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(tomlplusplus REQUIRED)
pkg_check_modules(SQLITE REQUIRED IMPORTED_TARGET sqlite3)
pkg_check_modules(PQXX REQUIRED IMPORTED_TARGET libpqxx)
pkg_check_modules(PQ REQUIRED IMPORTED_TARGET libpq)
pkg_check_modules(LZ4 REQUIRED IMPORTED_TARGET liblz4)
pkg_check_modules(SECCOMP REQUIRED IMPORTED_TARGET libseccomp)
pkg_check_modules(SODIUM REQUIRED IMPORTED_TARGET libsodium)
pkg_check_modules(CURL REQUIRED IMPORTED_TARGET libcurl)
pkg_check_modules(P11_KIT REQUIRED p11-kit-1)
pkg_check_modules(PISTACHE REQUIRED IMPORTED_TARGET libpistache)

# Header-only ones stand in /usr/include and need no flags: Boost.Asio, Beast, DLL; CLI11; valijson; nlohmann/json.
add_library(patchbay_asio INTERFACE)
target_link_libraries(patchbay_asio INTERFACE Boost::headers Threads::Threads)
target_compile_definitions(patchbay_asio INTERFACE
  BOOST_ASIO_NO_DEPRECATED BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION)

add_library(patchbay_dll INTERFACE)
target_link_libraries(patchbay_dll INTERFACE Boost::headers ${CMAKE_DL_LIBS})
target_compile_definitions(patchbay_dll INTERFACE BOOST_DLL_USE_STD_FS)

# Pistache's .pc file forgets that Debian builds it with TLS: without this the class layouts differ.
add_library(patchbay_pistache INTERFACE)
target_link_libraries(patchbay_pistache INTERFACE PkgConfig::PISTACHE)
target_compile_definitions(patchbay_pistache INTERFACE PISTACHE_USE_SSL)

# Without it valijson ends the process where a schema is wrong.
add_compile_definitions(VALIJSON_USE_EXCEPTIONS=1)
