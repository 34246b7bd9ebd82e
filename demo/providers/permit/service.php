<?php
/**
 * Residence permits (公安 居住证), POST /api/permits/query: JSON over server TLS with a bearer secret.
 *
 * The newest of the three, written by a contractor for a phone application: result codes are numbers, all
 * text beyond ASCII is escaped (𠮷 arrives as a surrogate pair), and permit numbers look like numbers but
 * begin with zeros. A person without a permit is code 1404 with `data` null, in an HTTP 200; only a wrong
 * secret shows in the HTTP status.
 */
declare(strict_types=1);

require __DIR__ . '/../shared/city.php';
require __DIR__ . '/../shared/id-number.php';
require __DIR__ . '/../shared/journal.php';

const RESULTS = [
    0 => 'ok',
    1400 => '请求参数不正确',
    1401 => '未认证',
    1404 => '未办理居住证',
    1900 => '该人员档案已锁定',
];
const STATUS = ['1' => '有效', '2' => '过期', '3' => '注销'];

/** [result code, data] for the request in hand. */
function permit_query(): array
{
    $secret = trim((string) file_get_contents((string) getenv('SECRET_FILE')));
    if ($secret === '' || !hash_equals("Bearer $secret", $_SERVER['HTTP_AUTHORIZATION'] ?? '')) {
        return [1401, null];
    }
    $id = json_decode(request_body(), true)['idNo'] ?? null;
    if (!is_string($id) || !id_is_valid($id)) {
        return [1400, null];
    }
    $person = city_row('SELECT name, locked FROM person WHERE id_no = ?', $id);
    if ((bool) ($person['locked'] ?? false)) {
        return [1900, null];
    }
    $permits = city_rows('SELECT * FROM permit WHERE id_no = ? ORDER BY since', $id);
    if ($permits === []) {
        return [1404, null];
    }
    $rows = array_map(static fn (array $permit): array => permit_json($permit, $person['name']), $permits);
    return [0, ['total' => count($rows), 'rows' => $rows]];
}

function permit_json(array $permit, string $name): array
{
    return [
        'permitNo' => $permit['no'],
        'idNo' => $permit['id_no'],
        'name' => $name,
        'division' => $permit['division'],
        'address' => $permit['address'],
        'since' => $permit['since'],
        'validTo' => $permit['valid_to'],
        'status' => $permit['status'],
        'statusText' => STATUS[$permit['status']],
    ];
}

journal_request();

[$code, $data] = permit_query();
http_response_code($code === 1401 ? 401 : 200);
header('Content-Type: application/json');
echo json_encode(['code' => $code, 'message' => RESULTS[$code], 'data' => $data]);
