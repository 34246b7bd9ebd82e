#pragma once
/* The node's resource: one row of three items, as JSON. */
#ifndef WORLD_MANIFEST /* a test may have one of its own */
#define WORLD_MANIFEST manifest_format
static const char manifest_format[] =
    "{\"kind\":\"Resource\",\"id\":\"provider/people\",\"code\":\"101001/1\",\"title\":{\"zh\":\"测\",\"en\":\"T\"},"
    "\"abstract\":\"a\",\"class\":\"base/population\",\"format\":{\"class\":\"interface\",\"type\":\"json\"},"
    "\"share\":{\"type\":\"conditional\",\"condition\":\"t\",\"mode\":\"interface\"},\"open\":\"none\",\"update\":"
    "\"daily\",\"contact\":{\"person\":\"provider/pat\",\"phone\":\"0543-0000000\"},\"items\":["
    "{\"name\":\"id_no\",\"title\":\"i\",\"type\":\"C\",\"length\":18,\"level\":4,\"key\":true},"
    "{\"name\":\"name\",\"title\":\"n\",\"type\":\"C\",\"length\":50,\"level\":3},"
    "{\"name\":\"age\",\"title\":\"a\",\"type\":\"I\"}],"
    "\"connector\":{\"kind\":\"http\",\"endpoint\":\"http://127.0.0.1:9/p\",\"tls\":{\"mode\":\"none\",\"reason\":"
    "\"a test\"},\"timeout\":\"5s\"},\"request\":{\"safe\":%s,\"params\":[{\"param\":\"age\",\"required\":false,"
    "\"to\":\"json:/age\"}]},"
    "\"response\":{\"success\":{\"at\":\"/code\",\"ok\":[\"0\"],\"not_found\":[\"1\"]},\"records\":\"/rows\","
    "\"map\":{\"id_no\":\"id\",\"name\":\"name\",\"age\":\"age\"}}}";
#endif
