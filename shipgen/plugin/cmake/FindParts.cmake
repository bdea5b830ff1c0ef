# Finds what the plugin is built with. Sets targets and variables:
#   ShipgenMuons_npyrandom      NumPy's static library of distributions, with its headers
#   ShipgenMuons_json_include   folder of nlohmann/json.hpp
#   ShipgenMuons_onnxruntime    ONNX Runtime's library, to be tried first at run time; may be empty
#   ShipgenMuons_onnxruntime_include  folder of its headers; may be empty
#   ROOT_FOUND, FairRoot_FOUND

find_package(Python3 COMPONENTS Interpreter REQUIRED)

# What Python's packages have; without importing them, since ROOT and ONNX Runtime take seconds.
execute_process(
  COMMAND "${Python3_EXECUTABLE}" "${CMAKE_CURRENT_LIST_DIR}/ask_python.py"
  OUTPUT_VARIABLE answer ERROR_VARIABLE error RESULT_VARIABLE status OUTPUT_STRIP_TRAILING_WHITESPACE)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "${Python3_EXECUTABLE} cannot say where its packages are: ${error}")
endif()
list(GET answer 0 python_numpy)
list(GET answer 1 python_numpy_include)
list(GET answer 2 python_onnxruntime)
list(GET answer 3 python_root)

# NumPy
set(npyrandom "${python_numpy}/random/lib/libnpyrandom.a")
if(NOT EXISTS "${npyrandom}")
  message(FATAL_ERROR "${Python3_EXECUTABLE} has no NumPy with its static library (numpy/random/lib/libnpyrandom.a): "
                      "give another Python by -DPython3_EXECUTABLE=...")
endif()
add_library(ShipgenMuons_npyrandom STATIC IMPORTED)
set_target_properties(ShipgenMuons_npyrandom PROPERTIES
  IMPORTED_LOCATION "${npyrandom}"
  INTERFACE_INCLUDE_DIRECTORIES "${python_numpy_include}"
  INTERFACE_LINK_LIBRARIES m)
message(STATUS "NumPy's distributions: ${npyrandom}")

# ROOT
if(SHIPGEN_MUONS_ROOT)
  find_package(ROOT CONFIG QUIET COMPONENTS Core HINTS "$ENV{ROOTSYS}")
  if(NOT ROOT_FOUND AND EXISTS "${python_root}/cmake/ROOTConfig.cmake")
    # The wheel's targets point to a folder that does not exist: a view of two links has it, and leaves the wheel alone.
    set(view "${PROJECT_BINARY_DIR}/root_view/lib")
    get_filename_component(site "${python_root}" DIRECTORY)
    file(MAKE_DIRECTORY "${view}/site-packages")
    file(CREATE_LINK "${python_root}" "${view}/site-packages/ROOT" SYMBOLIC)
    file(CREATE_LINK "${site}" "${view}/mock_site_packages" SYMBOLIC)
    find_package(ROOT CONFIG QUIET COMPONENTS Core PATHS "${view}/site-packages/ROOT/cmake" NO_DEFAULT_PATH)
  endif()
  if(ROOT_FOUND)
    message(STATUS "ROOT ${ROOT_VERSION}: ${ROOT_DIR}")
    if(ROOT_CXX_STANDARD GREATER CMAKE_CXX_STANDARD)
      set(CMAKE_CXX_STANDARD ${ROOT_CXX_STANDARD})
    endif()
  else()
    message(STATUS "ROOT not found: no dictionary")
  endif()
endif()

# FairRoot
if(SHIPGEN_MUONS_FAIRROOT AND ROOT_FOUND)
  find_package(FairRoot CONFIG QUIET HINTS "$ENV{FAIRROOTPATH}")
  if(FairRoot_FOUND)
    message(STATUS "FairRoot ${FairRoot_VERSION}: ${FairRoot_PREFIX}")
    # Its targets name those of the packages it was built with.
    foreach(package IN LISTS FairRoot_PACKAGE_DEPENDENCIES)
      find_package(${package} QUIET HINTS "${FairRoot_${package}_PREFIX}")
    endforeach()
  else()
    message(STATUS "FairRoot not found: its generator is skipped")
  endif()
endif()

# JSON
find_package(nlohmann_json 3.9 CONFIG QUIET)
if(nlohmann_json_FOUND)
  get_target_property(ShipgenMuons_json_include nlohmann_json::nlohmann_json INTERFACE_INCLUDE_DIRECTORIES)
else()
  # ROOT has a copy.
  find_path(ShipgenMuons_json_include nlohmann/json.hpp HINTS ${ROOT_INCLUDE_DIRS} "${python_root}/include")
endif()
if(NOT ShipgenMuons_json_include)
  message(FATAL_ERROR "nlohmann/json.hpp not found: install nlohmann_json (conda-forge: nlohmann_json, Debian: "
                      "nlohmann-json3-dev), or build where ROOT is, which has it")
endif()

# ONNX Runtime
file(GLOB given LIST_DIRECTORIES false "${ONNXRUNTIME_ROOT}/libonnxruntime.so*")
if(given)
  list(GET given 0 ShipgenMuons_onnxruntime)
else()
  find_library(ShipgenMuons_onnxruntime onnxruntime HINTS "${ONNXRUNTIME_ROOT}" PATH_SUFFIXES lib lib64)
  if(ONNXRUNTIME_ROOT AND NOT ShipgenMuons_onnxruntime)
    message(FATAL_ERROR "no libonnxruntime.so in ${ONNXRUNTIME_ROOT} or its lib")
  endif()
endif()
if(NOT ShipgenMuons_onnxruntime)
  set(ShipgenMuons_onnxruntime "${python_onnxruntime}")
endif()
find_path(ShipgenMuons_onnxruntime_include onnxruntime_c_api.h HINTS "${ONNXRUNTIME_ROOT}"
          PATH_SUFFIXES include include/onnxruntime include/onnxruntime/core/session onnxruntime)
if(ShipgenMuons_onnxruntime)
  message(STATUS "ONNX Runtime: ${ShipgenMuons_onnxruntime}, loaded at run time")
else()
  message(STATUS "ONNX Runtime not found: to be given at run time by SHIPGEN_ONNXRUNTIME")
endif()
