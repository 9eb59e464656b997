/* Sine and cosine in binary64 with the same bits on every machine, for |x| up to 100. */
#ifndef CYG_DATA_TRIG_H
#define CYG_DATA_TRIG_H

#define CYG_PI 3.14159265358979323846

double cyg_sin(double x);
double cyg_cos(double x);

#endif
