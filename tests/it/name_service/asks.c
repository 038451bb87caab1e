/* A static program that asks for a user: what a test of this kind has to catch. */
#include <pwd.h>

int main(void) { return getpwuid(4242) != 0; }
