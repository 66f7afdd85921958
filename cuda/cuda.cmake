# How .cu files are built: by nvcc for GPUs, and by the C++ compiler for the emulator. Included by the
# project's CMakeLists.txt, for a language has to be enabled where all that link with it can see.

# MB_CUDA_FOUND: whether the kernels are built for GPUs.
set(MB_CUDA_FOUND OFF)
if(NOT MB_CUDA MATCHES "^(AUTO|ON|OFF)$")
  message(FATAL_ERROR "MB_CUDA is ${MB_CUDA}, but has to be AUTO, ON or OFF")
endif()
if(MB_CUDA)
  include(CheckLanguage)
  if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
    find_program(MB_NVCC nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH PATHS /usr/local/cuda
      PATH_SUFFIXES bin)
    mark_as_advanced(MB_NVCC)
    if(MB_NVCC)
      set(CMAKE_CUDA_COMPILER ${MB_NVCC})
    endif()
  endif()
  # For these architectures there is code, and PTX for those to come.
  set(CMAKE_CUDA_ARCHITECTURES 80-real 90-real 100-real 100-virtual)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    set(MB_CUDA_FOUND ON)
    enable_language(CUDA)
    # Programs with kernels are linked as those without: by the compiler of C.
    set(CMAKE_CUDA_HOST_LINK_LAUNCHER ${CMAKE_C_COMPILER})
  elseif(NOT MB_CUDA STREQUAL "AUTO")
    message(FATAL_ERROR "MB_CUDA is ${MB_CUDA}, but no nvcc was found that works: put it on the PATH "
      "or name it in CUDACXX; -DMB_CUDA=OFF builds without")
  endif()
endif()
if(MB_CUDA_FOUND)
  message(STATUS "CUDA kernels: for GPUs, with ${CMAKE_CUDA_COMPILER}")
else()
  message(STATUS "CUDA kernels: not for GPUs (MB_CUDA=${MB_CUDA}, no nvcc used)")
endif()

# mb_nvcc_target(TARGET): the flags of a target with .cu files. No fused multiply-add, so that doubles
# are the CPU's; and nothing of C++ that a program in C would have to link libstdc++ for.
function(mb_nvcc_target target)
  target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:--fmad=false
    -Xcompiler=-Wall,-Wextra,-fno-exceptions,-fno-threadsafe-statics,-fno-rtti
    -Xptxas=-warn-spills>
    $<$<AND:$<COMPILE_LANGUAGE:CUDA>,$<BOOL:${MB_WERROR}>>:-Werror=all-warnings>)
  target_compile_features(${target} PRIVATE cuda_std_17)
  set_target_properties(${target} PROPERTIES CUDA_RUNTIME_LIBRARY Static)
endfunction()

# mb_emulated_sources(OUT FILE.cu...): a C++ file that includes each, for CMake takes .cu for CUDA.
function(mb_emulated_sources out)
  set(sources)
  foreach(kernels IN LISTS ARGN)
    cmake_path(ABSOLUTE_PATH kernels BASE_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
    cmake_path(GET kernels STEM name)
    cmake_path(RELATIVE_PATH kernels BASE_DIRECTORY ${PROJECT_SOURCE_DIR})
    set(source ${CMAKE_CURRENT_BINARY_DIR}/${name}_emulated.cpp)
    file(CONFIGURE OUTPUT ${source} CONTENT "#include \"${kernels}\"\n" @ONLY)
    list(APPEND sources ${source})
  endforeach()
  set(${out} ${sources} PARENT_SCOPE)
endfunction()
