#pragma once
/* base/core: bytes, errors, memory, clock, log and the small vocabulary that every folder shares.
 * No I/O but the log; nothing here knows of exchanges, grants or certificates.
 * Thread rule: values belong to one thread unless their header says otherwise. */
#include "base/core/err.h"
#include "base/core/slice.h"
#include "base/core/mem.h"
#include "base/core/arena.h"
#include "base/core/buf.h"
#include "base/core/text.h"
#include "base/core/json.h"
#include "base/core/diag.h"
#include "base/core/reason.h"
#include "base/core/clock.h"
#include "base/core/ids.h"
#include "base/core/checks.h"
#include "base/core/smap.h"
#include "base/core/file.h"
#include "base/core/log.h"
