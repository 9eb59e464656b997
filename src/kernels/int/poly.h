/* Coefficients and constants of the integer path's functions, shared by plain C and SIMD code.
 * Found by Remez exchange in binary64 and rounded to binary32; worst errors are stated in
 * docs/numerics.md and asserted by tests/kernels/test_int_functions.c. */
#ifndef CYG_KERNELS_INT_POLY_H
#define CYG_KERNELS_INT_POLY_H

/* 2^f on [0, 1), relative error minimised, constant term exactly 1. */
#define CYG_EXP2_C0 1.0f
#define CYG_EXP2_C1 0.693151295f
#define CYG_EXP2_C2 0.240164444f
#define CYG_EXP2_C3 0.0557999127f
#define CYG_EXP2_C4 0.00901702978f
#define CYG_EXP2_C5 0.00186713017f

/* (Phi(x) - 1/2) / x as a polynomial in x^2 - 10.125 on |x| < 4.5, the error of x * Phi(x)
 * minimised. Centred, because the plain polynomial in x^2 cancels. */
#define CYG_GELU_LIMIT 4.5f
#define CYG_GELU_CENTRE 10.125f
#define CYG_GELU_ERF_COEFFICIENTS                                                                  \
    0.156905293f, -0.00762304896f, 0.000533302606f, -3.88216977e-05f, 2.72364059e-06f,             \
        -1.70656378e-07f, 9.41211109e-09f, -6.12623841e-10f, 4.21492632e-11f, -1.40007081e-12f
#define CYG_GELU_TANH_COEFFICIENTS                                                                 \
    0.156938702f, -0.00763303228f, 0.00053416536f, -3.87763394e-05f, 2.70057581e-06f,              \
        -1.64958507e-07f, 8.76620021e-09f, -6.26788232e-10f, 4.94716039e-11f, -1.74855313e-12f

#define CYG_LOG2E 1.44269502f
#define CYG_SIXTH 0.166666672f

#endif
