# find_package(moebal): the target moebal::balancer. The project has to have enabled C.
include(CMakeFindDependencyMacro)
find_dependency(OpenMP COMPONENTS C)
include(${CMAKE_CURRENT_LIST_DIR}/moebalTargets.cmake)
