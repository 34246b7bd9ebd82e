#pragma once
/* A fresh folder for a unit test, in $TMPDIR if that is set and short enough, else in /tmp. A log that a disk keeps
 * waiting for seconds refuses, as it should: tests of threads that write want a folder in memory (tests/run gives them
 * one), and make bad disks themselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Into path (room: at least 40): its name, which has `name` in it. The test fails if it cannot be made. */
static inline void folder_make(char *path, size_t room, const char *name)
{
    const char *top = getenv("TMPDIR");

    if (top == NULL || *top == '\0' || strlen(top) + strlen("/sluice--XXXXXX") + strlen(name) >= room)
        top = "/tmp";
    snprintf(path, room, "%s/sluice-%s-XXXXXX", top, name);
    assert_non_null(mkdtemp(path));
}
