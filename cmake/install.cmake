# What `cmake --install` puts below a prefix: the program with its manual, and the library: its
# public headers, static archives, a CMake package (find_package(zgrid)) and pkg-config files.
# Components: `program`, `library`.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# What each exported target needs, deepest first.
set(client_targets zgrid_base zgrid_protocol zgrid_transport zgrid_client)
set(worker_targets zgrid_log zgrid_conf zgrid_executors zgrid_workflow zgrid_worker_core
  zgrid_worker)
# Libraries that are all header, and stay inside our own objects: nobody needs them to link.
set(header_only zgrid_msgpack nlohmann_json::nlohmann_json toml11::toml11 cppzmq
  spdlog::spdlog_header_only fmt::fmt-header-only)
# The others; cmake/zgridConfig.cmake.in and the .pc.in files say where users find them.
set(known tl::expected Threads::Threads PkgConfig::zmq PkgConfig::sodium spdlog::spdlog)
set(needs_spdlog OFF)
set(and_spdlog)

foreach(target ${client_targets} ${worker_targets})
  string(REPLACE zgrid_ "" export_name ${target})
  add_library(zgrid::${export_name} ALIAS ${target})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${export_name})
  get_target_property(needed ${target} INTERFACE_LINK_LIBRARIES)
  set(kept)
  foreach(library ${needed})
    string(REGEX REPLACE "^\\$<LINK_ONLY:(.*)>$" "\\1" name "${library}")
    if(name IN_LIST header_only)
      continue()
    elseif(NOT name IN_LIST known AND NOT name IN_LIST client_targets
           AND NOT name IN_LIST worker_targets)
      message(FATAL_ERROR "${target} is installed and needs ${name}: teach cmake/install.cmake, "
                          "cmake/zgridConfig.cmake.in and the .pc.in files where users find it")
    endif()
    if(name STREQUAL "spdlog::spdlog")  # the shared one
      set(needs_spdlog ON)
      set(and_spdlog spdlog)
    endif()
    list(APPEND kept ${library})
  endforeach()
  set_target_properties(${target} PROPERTIES INTERFACE_LINK_LIBRARIES "${kept}")
endforeach()

file(RELATIVE_PATH to_include
  ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_FULL_INCLUDEDIR})
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/zgrid)
foreach(part client worker)
  install(TARGETS ${${part}_targets} EXPORT zgrid-${part}
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library
    INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  install(EXPORT zgrid-${part} NAMESPACE zgrid:: DESTINATION ${package_dir} COMPONENT library)
  install(FILES ${PROJECT_SOURCE_DIR}/${part}/include/zgrid/${part}.hpp
    DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/zgrid COMPONENT library)
  # A linker wants users before what they use.
  list(TRANSFORM ${part}_targets PREPEND -l OUTPUT_VARIABLE archives)
  list(REVERSE archives)
  list(JOIN archives " " archives)
  configure_file(${PROJECT_SOURCE_DIR}/cmake/zgrid-${part}.pc.in zgrid-${part}.pc @ONLY)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/zgrid-${part}.pc
    DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT library)
endforeach()

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/zgridConfig.cmake.in zgridConfig.cmake
  INSTALL_DESTINATION ${package_dir} NO_SET_AND_CHECK_MACRO)
# Before 1.0 another minor version may have another interface.
write_basic_package_version_file(zgridConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/zgridConfig.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/zgridConfigVersion.cmake
  DESTINATION ${package_dir} COMPONENT library)

install(TARGETS zgrid RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT program)
install(DIRECTORY ${PROJECT_BINARY_DIR}/client/cli/man/
  DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT program FILES_MATCHING PATTERN "*.1")
