#pragma once
/* base/net: event loop, plain and TLS streams, HTTP/1.1 messages on both sides. libevent, OpenSSL's SSL and llhttp stay
 * inside. Everything here belongs to the thread of its loop, but for what says otherwise. Nothing blocks, nothing grows
 * without a cap, and every close has a reason. */
#include "base/core/core.h"
#include "base/net/loop.h"
#include "base/net/tls.h"
#include "base/net/stream.h"
#include "base/net/names.h"
#include "base/net/http.h"
#include "base/net/http_held.h"
#include "base/net/http_small.h"
