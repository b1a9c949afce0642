# cmake --install: the host, its plugins, and what provider plugins are written with. cpack -G DEB makes a package of it.
include(CMakePackageConfigHelpers)
set(sdk ${CMAKE_INSTALL_LIBDIR}/cmake/patchbay-plugin)

install(TARGETS patchbay patchbay-sim patchbay-plugin-process RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS patchbay_kit_sdk LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
get_property(plugins GLOBAL PROPERTY PATCHBAY_PLUGINS)
install(TARGETS ${plugins} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/patchbay/plugins)
install(DIRECTORY plugin-api/include/patchbay DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY tools/plugin-template DESTINATION ${CMAKE_INSTALL_DATADIR}/patchbay)
install(FILES config/patchbay.example.toml DESTINATION ${CMAKE_INSTALL_DOCDIR})

configure_package_config_file(plugin-api/cmake/patchbay-plugin-config.cmake.in
  ${CMAKE_CURRENT_BINARY_DIR}/patchbay-plugin-config.cmake INSTALL_DESTINATION ${sdk}
  PATH_VARS CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_BINDIR CMAKE_INSTALL_LIBDIR)
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/patchbay-plugin-config-version.cmake
  COMPATIBILITY SameMajorVersion)
configure_file(plugin-api/cmake/patchbay-plugin.pc.in ${CMAKE_CURRENT_BINARY_DIR}/patchbay-plugin.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/patchbay-plugin-config.cmake
              ${CMAKE_CURRENT_BINARY_DIR}/patchbay-plugin-config-version.cmake
              plugin-api/cmake/patchbay-plugin-functions.cmake plugin-api/cmake/embed_manifest.cmake
              plugin-api/cmake/plugin.map
        DESTINATION ${sdk})
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/patchbay-plugin.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME patchbay)
set(CPACK_PACKAGE_CONTACT "Patchbay <patchbay@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Self-hosted automation host, with what provider plugins are written with")
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "ca-certificates")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "cmake, make")
set(CPACK_STRIP_FILES ON)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
include(CPack)
