# Programs with their libraries inside. `zgrid submit` in a script is a process for each job, and to
# load 23 shared libraries (libzmq brings Kerberos and two multicast transports along) takes longer
# than all else before its first packet. Installed archives (cmake/install.cmake) contain none.
#
# Where an archive is missing, or they do not link, and for sanitizers, which must see what
# libraries call, the shared ones are used.
option(ZGRID_STATIC "Put libzmq, libsodium, SQLite and the C++ library into the programs" ON)
set(ZGRID_IS_STATIC OFF)
if(NOT ZGRID_STATIC OR ZGRID_SANITIZE OR ZGRID_FUZZ)
  return()
endif()

set(zmq_unused ${CMAKE_CURRENT_LIST_DIR}/../protocol/transport/static/zmq_unused.cpp)
# Beside the headers that are used, not those of another release.
find_library(ZGRID_ZMQ_ARCHIVE libzmq.a PATHS ${zmq_LIBDIR} NO_DEFAULT_PATH)
find_library(ZGRID_SODIUM_ARCHIVE libsodium.a PATHS ${sodium_LIBDIR} NO_DEFAULT_PATH)
find_library(ZGRID_SQLITE3_ARCHIVE libsqlite3.a PATHS ${sqlite3_LIBDIR} NO_DEFAULT_PATH)
find_library(ZGRID_BSD_ARCHIVE libbsd.a)  # libzmq's strlcpy
mark_as_advanced(
  ZGRID_ZMQ_ARCHIVE ZGRID_SODIUM_ARCHIVE ZGRID_SQLITE3_ARCHIVE ZGRID_BSD_ARCHIVE)
set(problem "one is missing")
if(ZGRID_ZMQ_ARCHIVE AND ZGRID_SODIUM_ARCHIVE AND ZGRID_SQLITE3_ARCHIVE AND ZGRID_BSD_ARCHIVE)
  try_compile(ZGRID_STATIC_LINKS
    SOURCE_FROM_CONTENT probe.cpp [[
      #include <sodium.h>
      #include <sqlite3.h>
      #include <zmq.h>
      int main() { return sodium_init() + sqlite3_threadsafe() + (zmq_ctx_new() == nullptr); }
    ]]
    SOURCES ${zmq_unused}
    LINK_OPTIONS -static-libstdc++ -static-libgcc
    LINK_LIBRARIES ${ZGRID_ZMQ_ARCHIVE} ${ZGRID_SODIUM_ARCHIVE} ${ZGRID_SQLITE3_ARCHIVE}
      ${ZGRID_BSD_ARCHIVE} Threads::Threads m ${CMAKE_DL_LIBS}
    CXX_STANDARD 20 CXX_STANDARD_REQUIRED ON)
  set(ZGRID_IS_STATIC ${ZGRID_STATIC_LINKS})
  set(problem "they do not link together")
endif()
if(NOT ZGRID_IS_STATIC)
  message(STATUS "Shared libraries: of libzmq.a, libsodium.a, libsqlite3.a, libbsd.a ${problem}")
  return()
endif()

add_library(zgrid_zmq_unused STATIC ${zmq_unused})
zgrid_target(zgrid_zmq_unused)
set_target_properties(PkgConfig::sodium PROPERTIES
  INTERFACE_LINK_LIBRARIES "${ZGRID_SODIUM_ARCHIVE};Threads::Threads")
set_target_properties(PkgConfig::sqlite3 PROPERTIES
  INTERFACE_LINK_LIBRARIES "${ZGRID_SQLITE3_ARCHIVE};m;${CMAKE_DL_LIBS}")
set_target_properties(PkgConfig::zmq PROPERTIES INTERFACE_LINK_LIBRARIES
  "${ZGRID_ZMQ_ARCHIVE};zgrid_zmq_unused;PkgConfig::sodium;${ZGRID_BSD_ARCHIVE};Threads::Threads")
set_target_properties(cppzmq PROPERTIES INTERFACE_LINK_LIBRARIES PkgConfig::zmq)
