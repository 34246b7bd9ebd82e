/* The process around the command line. */
#include <curl/curl.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include "base/crypto/crypto.h"
#include "cli/cli.h"

int main(int argc, char **argv)
{
    int code;

    setlocale(LC_CTYPE, "C.UTF-8");
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is a failed write, told by its exit code */
    if (crypto_init(NULL) != ERR_OK || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        fputs("sluice: the libraries for TLS do not start\n", stderr);
        return CLI_FAILURE;
    }
    code = cli_run(argc, argv, stdout, stderr);
    curl_global_cleanup();
    return code;
}
