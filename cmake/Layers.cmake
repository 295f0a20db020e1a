# SPDX-License-Identifier: Apache-2.0
# One folder of src/ = one library = one namespace. What a layer may use is what it links (ARCHITECTURE.md).

# quipu_layer(NAME SOURCES file... [PUBLIC library...] [PRIVATE library...])
function(quipu_layer name)
  cmake_parse_arguments(ARG "" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  add_library(quipu_${name} STATIC ${ARG_SOURCES})
  target_link_libraries(quipu_${name} PUBLIC quipu_options ${ARG_PUBLIC} PRIVATE ${ARG_PRIVATE})
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
