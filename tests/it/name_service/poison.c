/* A module of the host's name service that ends whoever loads it, as one of another C library does. */
#include <stdlib.h>

__attribute__((constructor)) static void loaded(void) { abort(); }
