# SPDX-License-Identifier: Apache-2.0
# One folder of src/ = one library = one namespace. What a layer may use is what it links (ARCHITECTURE.md).

# A good part of what compiling a file costs is the standard library's headers. The tests, and under clang the layers, have them
# compiled once. Not the layers under GCC: GCC 12 takes the standard library for ours then and warns of it, and so one
# compiler sees whether each of our files includes what it uses.
set(QUIPU_PRECOMPILED_HEADERS <algorithm> <array> <chrono> <deque> <expected> <functional> <map> <memory> <optional> <set> <span>
  <string> <string_view> <variant> <vector>)

# quipu_layer(NAME SOURCES file... [PUBLIC library...] [PRIVATE library...])
function(quipu_layer name)
  cmake_parse_arguments(ARG "" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  add_library(quipu_${name} STATIC ${ARG_SOURCES})
  target_link_libraries(quipu_${name} PUBLIC quipu_options ${ARG_PUBLIC} PRIVATE ${ARG_PRIVATE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    if(name STREQUAL base)
      target_precompile_headers(quipu_base PRIVATE ${QUIPU_PRECOMPILED_HEADERS})
    else()
      target_precompile_headers(quipu_${name} REUSE_FROM quipu_base)
    endif()
  endif()
  if(QUIPU_FUZZ)
    # What a fuzz target is to find its way through.
    target_compile_options(quipu_${name} PRIVATE -fsanitize=fuzzer-no-link)
  endif()
endfunction()

# quipu_program(NAME SOURCES file... LINKS library...)
function(quipu_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE quipu_options ${ARG_LINKS})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
endfunction()
