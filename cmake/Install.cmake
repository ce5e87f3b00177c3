# Install.cmake - what `cmake --install` puts where, beside the program: manual, schemas, completions.

find_program(SCDOC scdoc)
if(SCDOC)
  set(manual ${PROJECT_BINARY_DIR}/man/ctaskctl.1)
  file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/man)
  add_custom_command(
    OUTPUT ${manual}
    COMMAND sh -c "'${SCDOC}' < '${PROJECT_SOURCE_DIR}/man/ctaskctl.1.scd' > '${manual}'"
    DEPENDS ${PROJECT_SOURCE_DIR}/man/ctaskctl.1.scd
    VERBATIM)
  add_custom_target(manual ALL DEPENDS ${manual})
  install(FILES ${manual} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
else()
  message(WARNING "scdoc was not found: no manual page will be built or installed")
endif()

install(FILES ${PROJECT_SOURCE_DIR}/model/ctask-cancellation-1.schema.json
              ${PROJECT_SOURCE_DIR}/model/ctask-snapshot-1.schema.json
              ${PROJECT_SOURCE_DIR}/model/ctask-processes-1.schema.json
        DESTINATION ${CMAKE_INSTALL_DATADIR}/ctask/schema)
install(FILES ${PROJECT_SOURCE_DIR}/completions/ctaskctl.bash
        DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME ctaskctl)
install(FILES ${PROJECT_SOURCE_DIR}/completions/_ctaskctl
        DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
install(FILES ${PROJECT_SOURCE_DIR}/completions/ctaskctl.fish
        DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME copyright)
