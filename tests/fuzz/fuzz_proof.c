/* What a stranger hands to a verifier: a proof and its line (behind a NUL), a note, a path of a tile. A proof that
 * holds cannot be made here, so nothing but the seed's own may be found good: and that only whole. */
#include <stdlib.h>
#include "audit/tile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define VKEY "city.example/log/n1+20a73cc4+AbCXUxHPHAoSZzdiuJ3Sn+RkKFLQBc23UARGDNZrwV2R"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct slice all = slice_make(data, n), line = all, proof = slice_cut(&line, '\0');
    struct audit_inclusion in;
    struct tile_name name;
    struct sha256 root;
    uint64_t size;
    char path[TILE_PATH];

    if (audit_proof_check(proof, line, SLICE(VKEY), &in) != ERR_OK || in.bad == NULL)
        abort();
    if (in.bad[0] == '\0' && (in.index >= in.size || line.n < 50))
        abort();
    (void)audit_note_check(all, SLICE(VKEY), &size, &root);
    if (!tile_name_read(proof, &name))
        return 0;
    if (name.width == 0 || name.width > TILE_HASHES)
        abort();
    audit_tile_path(name.entries ? "entries" : "0", name.tile, name.width, path);
    if (!name.entries && name.level == 0 && !slice_is(proof, path)) /* one path for each tile */
        abort();
    return 0;
}
