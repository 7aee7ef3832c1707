// The kernels for one instruction set; CMakeLists.txt gives this file its flags.
#define LS_NAMESPACE lipschitz_avx512
#include "scan_kernel.inl"
