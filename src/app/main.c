/* The program `cygnet`: everything is in the library cyg_app. */
#include "app/app.h"

int main(int argc, char **argv)
{
    return cyg_app_main(argc, argv);
}
