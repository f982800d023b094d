# What every target of ours shares.

# zgrid_library(NAME sources… [LIBS libs…]): one static library per folder.
# LIBS are public: what a header of the library needs.
function(zgrid_library name)
  cmake_parse_arguments(arg "" "" "LIBS;PRIVATE_LIBS" ${ARGN})
  add_library(${name} STATIC ${arg_UNPARSED_ARGUMENTS})
  set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  target_link_libraries(${name} PUBLIC ${arg_LIBS} PRIVATE ${arg_PRIVATE_LIBS})
  zgrid_target(${name})
endfunction()

# zgrid_test(NAME sources… LIBS libs…): one GoogleTest program, run by ctest.
# Units, simulations and contracts get the label `sanitize`: scripts/test runs them once more under
# the sanitizers. Others start processes and measure time, which sanitizers distort.
function(zgrid_test name)
  cmake_parse_arguments(arg "" "TIMEOUT" "LIBS;LABELS" ${ARGN})
  add_executable(${name} ${arg_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE ${arg_LIBS} GTest::gmock_main)
  zgrid_target(${name})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  add_test(NAME ${name} COMMAND ${name})
  if(name MATCHES "^(unit|sim|contract)")
    list(APPEND arg_LABELS sanitize)
  endif()
  set_tests_properties(${name} PROPERTIES TIMEOUT ${arg_TIMEOUT} LABELS "${arg_LABELS}"
    ENVIRONMENT "TSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tests/tsan.supp")
endfunction()

# Warnings, include root and sanitizers; third-party headers are system headers.
function(zgrid_target name)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_compile_options(${name} PRIVATE
    -Wall -Wextra -Wpedantic -Werror -Wshadow -Wconversion -Wno-sign-conversion
    -Wnon-virtual-dtor -Woverloaded-virtual)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # g++ 12 reports these falsely inside std::string at -O2.
    target_compile_options(${name} PRIVATE
      -Wno-stringop-overflow -Wno-restrict -Wno-error=maybe-uninitialized
      -Wno-error=array-bounds -Wno-error=stringop-overread -Wno-missing-field-initializers)
  else()
    target_compile_options(${name} PRIVATE -Wno-missing-field-initializers)
  endif()
  if(ZGRID_SANITIZE)
    target_compile_options(${name} PRIVATE -fsanitize=${ZGRID_SANITIZE} -fno-omit-frame-pointer)
    if(ZGRID_SANITIZE_NOT)
      target_compile_options(${name} PRIVATE -fno-sanitize=${ZGRID_SANITIZE_NOT})
    endif()
    target_link_options(${name} PUBLIC -fsanitize=${ZGRID_SANITIZE})
  endif()
  if(ZGRID_TEST_HOOKS)
    target_compile_definitions(${name} PRIVATE ZGRID_TEST_HOOKS=1)
  endif()
endfunction()

# zgrid_folder(NAME LIBS … PRIVATE_LIBS …): a library of every .cpp in this folder.
function(zgrid_folder name)
  cmake_parse_arguments(arg "" "" "LIBS;PRIVATE_LIBS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  if(sources)
    zgrid_library(${name} ${sources} LIBS ${arg_LIBS} PRIVATE_LIBS ${arg_PRIVATE_LIBS})
  else()
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE ${arg_LIBS})
  endif()
endfunction()

# zgrid_test_folder(NAME LIBS …): one GoogleTest program of every *_test.cpp in this folder.
function(zgrid_test_folder name)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*_test.cpp)
  if(sources)
    zgrid_test(${name} ${sources} ${ARGN})
  endif()
endfunction()
