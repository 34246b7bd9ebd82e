# Warnings, sanitizers, and the three functions that every folder's CMakeLists.txt uses.
add_link_options(-Werror) # what is found at link time, over the whole program, is an error as well
add_compile_options(-Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wformat=2 -Wundef
  -Wvla -Wwrite-strings -fno-common -fstack-protector-strong)
add_compile_definitions(_GNU_SOURCE SLUICE_VERSION="${PROJECT_VERSION}")
if(SLUICE_SANITIZE)
  add_compile_definitions(SLUICE_SANITIZED)
  add_compile_options(-fsanitize=${SLUICE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${SLUICE_SANITIZE})
endif()
if(CMAKE_BUILD_TYPE STREQUAL "Release" OR CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo")
  add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -O3 -fno-plt) # all is bound at the start: no stub in between
  add_link_options(-Wl,-z,relro,-z,now)
endif()

# sluice_library(name LINKS...): the folder's sources as the static library sluice-<name>.
function(sluice_library name)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.c)
  if(NOT sources) # a folder whose contract came before its content
    add_library(sluice-${name} INTERFACE)
    target_link_libraries(sluice-${name} INTERFACE ${ARGN})
    return()
  endif()
  add_library(sluice-${name} STATIC ${sources})
  target_include_directories(sluice-${name} PUBLIC ${CMAKE_SOURCE_DIR})
  target_link_libraries(sluice-${name} PUBLIC ${ARGN})
endfunction()

# sluice_unit(folder LIBRARY...): every tests/unit/<folder>/test_*.c is a program and two tests: as it is, and with allocations that fail.
# Other .c files of that folder are helpers linked into each.
function(sluice_unit folder)
  # Those that take longest begin first: begun last, one would run on alone at the end. CTest takes what it measured for
  # the cost of the others, in seconds.
  set(long audit/faults audit/index audit/notary base/net/h2_server base/net/http_client base/net/http_server gateway/keeper gateway/keeper_memory)
  file(GLOB tests CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/unit/${folder}/test_*.c)
  file(GLOB all CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/unit/${folder}/*.c)
  set(helpers ${all})
  list(REMOVE_ITEM helpers ${tests} "")
  string(REPLACE "/" "-" stem ${folder})
  if(NOT TARGET sluice-fail-nth)
    file(GLOB harness CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/unit/fail_*.c)
    add_library(sluice-fail-nth OBJECT ${harness})
    add_library(sluice-tests-end STATIC ${CMAKE_SOURCE_DIR}/tests/unit/end/tests_end.c)
    target_include_directories(sluice-tests-end PRIVATE ${CMAKE_SOURCE_DIR})
    target_include_directories(sluice-fail-nth PRIVATE ${CMAKE_SOURCE_DIR})
    target_link_libraries(sluice-fail-nth PRIVATE PkgConfig::CMOCKA)
    # Beneath it is the sanitizer's malloc, which must see who called: no frame of its own, and nothing watched.
    set_source_files_properties(${CMAKE_SOURCE_DIR}/tests/unit/fail_alloc.c PROPERTIES COMPILE_OPTIONS "-O2;-fno-sanitize=all")
    if(SLUICE_SANITIZE)
      set_source_files_properties(${CMAKE_SOURCE_DIR}/tests/unit/fail_alloc.c PROPERTIES COMPILE_DEFINITIONS HAS_SANITIZER)
    endif()
  endif()
  foreach(source ${tests})
    get_filename_component(test ${source} NAME_WE)
    string(REPLACE "test_" "" test ${test})
    set(target unit-${stem}-${test})
    add_executable(${target} ${source} ${helpers} $<TARGET_OBJECTS:sluice-fail-nth>)
    target_link_libraries(${target} PRIVATE sluice-tests-end ${ARGN} PkgConfig::CMOCKA)
    target_link_options(${target} PRIVATE -Wl,--wrap=_cmocka_run_group_tests,--wrap=mkdtemp)
    add_test(NAME unit/${folder}/${test} COMMAND ${target})
    set_tests_properties(unit/${folder}/${test} PROPERTIES LABELS unit TIMEOUT 300)
    add_test(NAME memory/${folder}/${test} COMMAND ${target} --fail-nth)
    set_tests_properties(unit/${folder}/${test} memory/${folder}/${test} PROPERTIES
      ENVIRONMENT "SLUICE_CORPUS=$ENV{SLUICE_CORPUS};SLUICE_SOURCE=${CMAKE_SOURCE_DIR}")
    if(${folder}/${test} IN_LIST long)
      set_tests_properties(unit/${folder}/${test} memory/${folder}/${test} PROPERTIES COST 1000)
    endif()
  endforeach()
endfunction()

# sluice_fuzzer(name LIBRARY...): tests/fuzz/fuzz_<name>.c, only in the fuzz preset.
function(sluice_fuzzer name)
  if(SLUICE_FUZZ)
    add_executable(fuzz-${name} ${CMAKE_SOURCE_DIR}/tests/fuzz/fuzz_${name}.c)
    target_link_libraries(fuzz-${name} PRIVATE ${ARGN})
    target_compile_options(fuzz-${name} PRIVATE -fsanitize=fuzzer)
    target_link_options(fuzz-${name} PRIVATE -fsanitize=fuzzer)
  endif()
endfunction()
