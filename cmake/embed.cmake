# cmake -DIN=file -DOUT=file.c -DNAME=symbol -P embed.cmake
# Turns a file into `const char NAME[]` and `const size_t NAME_n`, so that data reviewed as text is there without an install path.
file(READ ${IN} hex HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "(char)0x\\1," bytes "${hex}")
get_filename_component(from ${IN} NAME)
file(WRITE ${OUT}.new "/* Made from ${from} by embed.cmake. */
#include <stddef.h>
extern const char ${NAME}[];
extern const size_t ${NAME}_n;
const char ${NAME}[] = { ${bytes} };
const size_t ${NAME}_n = sizeof ${NAME};
")
file(COPY_FILE ${OUT}.new ${OUT} ONLY_IF_DIFFERENT)
