# Install.cmake - what `cmake --install` puts where, beside the program: manual, schemas, completions.

find_program(SCDOC scdoc)
if(SCDOC)
  set(manual)
  file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/man)
  foreach(page ctaskctl.1 ctask-agent.7)
    set(made ${PROJECT_BINARY_DIR}/man/${page})
    string(REGEX REPLACE ".*\\." "" section ${page})
    add_custom_command(
      OUTPUT ${made}
      COMMAND sh -c "'${SCDOC}' < '${PROJECT_SOURCE_DIR}/man/${page}.scd' > '${made}'"
      DEPENDS ${PROJECT_SOURCE_DIR}/man/${page}.scd
      VERBATIM)
    list(APPEND manual ${made})
    install(FILES ${made} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
  endforeach()
  add_custom_target(manual ALL DEPENDS ${manual})
else()
  message(WARNING "scdoc was not found: no manual page will be built or installed")
endif()

install(FILES ${PROJECT_SOURCE_DIR}/model/ctask-cancellation-1.schema.json
              ${PROJECT_SOURCE_DIR}/model/ctask-snapshot-1.schema.json
              ${PROJECT_SOURCE_DIR}/model/ctask-processes-1.schema.json
        DESTINATION ${CMAKE_INSTALL_DATADIR}/ctask/schema)
install(FILES ${PROJECT_SOURCE_DIR}/include/ctask/history.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/ctask)
install(FILES ${PROJECT_SOURCE_DIR}/completions/ctaskctl.bash
        DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME ctaskctl)
install(FILES ${PROJECT_SOURCE_DIR}/completions/_ctaskctl
        DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
install(FILES ${PROJECT_SOURCE_DIR}/completions/ctaskctl.fish
        DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME copyright)
