# Package.cmake - the Debian package: `cpack` in the build directory.

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME ctask)
set(CPACK_PACKAGE_VENDOR "the ctask authors")
set(CPACK_PACKAGE_CONTACT "the ctask authors <ctask@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "show what every async task of a running process waits for")
set(CPACK_PACKAGE_DESCRIPTION
    "ctaskctl looks into a running Python process from outside and shows its\nasyncio tasks: who awaits whom, where in the code each one stands, and what\nit waits for. The process needs no preparation and is not restarted.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION utils)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
include(CPack)
