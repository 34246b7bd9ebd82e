/* An archive of its own that is linked before all others: what lies before it in a unit program are tests and harness.
 */
#include "tests/unit/fail_alloc.h"

void tests_end(void)
{
}
