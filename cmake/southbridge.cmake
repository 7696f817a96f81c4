# SPDX-License-Identifier: Apache-2.0
# Options for every target, and the functions by which modules and tests are declared.
include(GNUInstallDirs)
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

add_library(sb_options INTERFACE)
target_include_directories(sb_options INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR})
target_compile_features(sb_options INTERFACE c_std_17)
target_compile_definitions(sb_options INTERFACE _GNU_SOURCE SB_VERSION="${PROJECT_VERSION}")
target_compile_options(sb_options INTERFACE
  -std=gnu17 -Wall -Wextra -Wconversion -Wshadow -Wvla -Wformat=2 -Wstrict-prototypes
  -Wmissing-prototypes -Wpointer-arith -Wundef -Wno-missing-field-initializers
  -fno-common -fstack-protector-strong $<$<BOOL:${SB_WERROR}>:-Werror>)
target_link_libraries(sb_options INTERFACE Threads::Threads)
if(SB_SANITIZE)
  target_compile_options(sb_options INTERFACE -fsanitize=${SB_SANITIZE} -fno-omit-frame-pointer
                         -fno-sanitize-recover=all)
  target_link_options(sb_options INTERFACE -fsanitize=${SB_SANITIZE})
else()
  target_compile_options(sb_options INTERFACE $<$<NOT:$<CONFIG:Debug>>:-D_FORTIFY_SOURCE=2>
                         -fPIE)
  target_link_options(sb_options INTERFACE -pie -Wl,-z,relro,-z,now)
endif()

if(SB_FUZZ) # the code under test counts its branches, or the fuzzer is blind
  target_compile_options(sb_options INTERFACE -fsanitize=fuzzer-no-link)
endif()

function(sb_pkg target module)
  pkg_check_modules(${target} REQUIRED IMPORTED_TARGET GLOBAL ${module})
endfunction()
sb_pkg(LWS libwebsockets)
sb_pkg(JANSSON jansson)
sb_pkg(YAML yaml-0.1)
sb_pkg(PCRE2 libpcre2-8)
sb_pkg(SQLITE sqlite3)
sb_pkg(CRYPTO libcrypto)
sb_pkg(SSL openssl)
sb_pkg(CURL libcurl)
sb_pkg(CBOR libcbor)
find_library(PAHO_LIB paho-mqtt3as REQUIRED)
find_path(PAHO_INCLUDE MQTTAsync.h REQUIRED)

# sb_module(name SOURCES ... DEPS ...): one module = one static library. DEPS are its whole right
# to include.
function(sb_module name)
  cmake_parse_arguments(M "" "" "SOURCES;DEPS" ${ARGN})
  add_library(${name} STATIC ${M_SOURCES})
  target_link_libraries(${name} PUBLIC sb_options ${M_DEPS})
endfunction()

# sb_test(name SOURCE file DEPS ... LABELS ...): a cmocka program.
function(sb_test name)
  cmake_parse_arguments(T "" "" "SOURCES;DEPS;LABELS" ${ARGN})
  add_executable(${name} ${T_SOURCES})
  target_link_libraries(${name} PRIVATE sb_options ${T_DEPS} sb_tests)
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS "${T_LABELS}" TIMEOUT 400
    ENVIRONMENT "SB_SOURCE=${PROJECT_SOURCE_DIR};SB_BUILD=${PROJECT_BINARY_DIR}")
endfunction()

# sb_fuzzer(name SOURCES ... DEPS ...): libFuzzer with SB_FUZZ, else a program that replays
# tests/fuzz/corpus/<name> once, in ctest.
function(sb_fuzzer name)
  cmake_parse_arguments(F "" "" "SOURCES;DEPS" ${ARGN})
  if(SB_FUZZ)
    add_executable(fuzz_${name} ${F_SOURCES})
    target_compile_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  else()
    add_executable(fuzz_${name} ${F_SOURCES} ${PROJECT_SOURCE_DIR}/tests/fuzz/replay.c)
    add_test(NAME fuzz_${name} COMMAND fuzz_${name} ${PROJECT_SOURCE_DIR}/tests/fuzz/corpus/${name})
    set_tests_properties(fuzz_${name} PROPERTIES LABELS fuzz)
  endif()
  target_link_libraries(fuzz_${name} PRIVATE sb_options ${F_DEPS})
endfunction()
