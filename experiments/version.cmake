# Writes moebal_version.h: the release and what git says of the sources. Run at every build; the
# file changes only when the answer does.
cmake_policy(VERSION 3.25)
execute_process(COMMAND git describe --always --dirty --abbrev=12 --exclude=*
  WORKING_DIRECTORY ${SOURCE} OUTPUT_VARIABLE git OUTPUT_STRIP_TRAILING_WHITESPACE
  ERROR_QUIET RESULT_VARIABLE failed)
if(failed)
  set(git "unknown")
endif()
file(CONFIGURE OUTPUT ${OUT} CONTENT
"#ifndef MOEBAL_VERSION_H
#define MOEBAL_VERSION_H
#define MOEBAL_VERSION \"@VERSION@\"
#define MOEBAL_GIT_VERSION \"@git@\"
#endif
" @ONLY)
