# SPDX-License-Identifier: Apache-2.0
# What is installed where. One component for each Debian package: quipu, quipu-kms, quipu-driver-dev.
include(GNUInstallDirs)
set(QUIPU_UNIT_DIR lib/systemd/system CACHE STRING "Folder of the systemd units, below the prefix")

# quipu_install(COMPONENT target FOLDER), once that target exists
function(quipu_install component target folder)
  if(TARGET ${target})
    install(TARGETS ${target} DESTINATION ${folder} COMPONENT ${component})
  endif()
endfunction()

quipu_install(quipu quipu ${CMAKE_INSTALL_BINDIR})
quipu_install(quipu quipud ${CMAKE_INSTALL_SBINDIR})
quipu_install(quipu-kms quipu-kmsd ${CMAKE_INSTALL_SBINDIR})
# The path by which quipu-kmsd starts it, and the folder in which it looks for drivers.
quipu_install(quipu-kms quipu-driver lib/quipu)
quipu_install(quipu-kms sim lib/quipu/drivers)

foreach(package IN ITEMS quipu quipu-kms)
  install(FILES systemd/${package}.sysusers.conf DESTINATION lib/sysusers.d RENAME ${package}.conf COMPONENT ${package})
  install(FILES systemd/${package}.tmpfiles.conf DESTINATION lib/tmpfiles.d RENAME ${package}.conf COMPONENT ${package})
endforeach()
install(FILES systemd/quipud.service systemd/quipu-guard.service DESTINATION ${QUIPU_UNIT_DIR} COMPONENT quipu)
install(FILES systemd/quipu-kmsd.service DESTINATION ${QUIPU_UNIT_DIR} COMPONENT quipu-kms)

install(FILES docs/man/quipu.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT quipu)
install(FILES packaging/lab/line-4.toml packaging/lab/ring-5.toml packaging/lab/two-paths.toml packaging/lab/two-vendors.toml DESTINATION ${CMAKE_INSTALL_DATADIR}/quipu/lab COMPONENT quipu)
install(FILES docs/man/quipud.8 DESTINATION ${CMAKE_INSTALL_MANDIR}/man8 COMPONENT quipu)
foreach(page IN ITEMS two-sites operations configuration status logging protocol km-link etsi014)
  install(FILES docs/${page}.md DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/doc/quipu COMPONENT quipu)
endforeach()
install(FILES docs/man/quipu-kmsd.8 DESTINATION ${CMAKE_INSTALL_MANDIR}/man8 COMPONENT quipu-kms)

install(FILES docs/driver-sim.md DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/quipu-kms COMPONENT quipu-kms)

# All that the author of a driver needs.
install(FILES include/quipu/driver.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/quipu COMPONENT quipu-driver-dev)
