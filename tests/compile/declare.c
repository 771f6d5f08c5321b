/* Declarations alone. */
#include "smartcache.h"

int declare_version(void);
int declare_version(void)
{
    sc_slice slice = sc_text(SC_VERSION_TEXT);
    return (int)slice.len;
}
