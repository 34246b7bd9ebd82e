<?php
/**
 * How a provider goes wrong: POST /faults/{fault}[/{n}] on each system's own port.
 *
 * The request is answered by the system's own service first, then the right answer is spoilt as the table
 * FAULTS says. For tests only: a real registry has no such door, and the services know nothing of it.
 * `flood` and `token` need a question that is answered with a record, for the register with type 01.
 * Runs in a php-fpm pool of its own, so that sleeping faults take no worker from the service.
 */
declare(strict_types=1);

/** Per system: its success code and a wrong one, its records, and where a name begins. Byte strings: ASCII only. */
const SHAPES = [
    'hukou' => [
        'code' => ['<CODE>0000</CODE>', '<CODE>7777</CODE>'],
        'record' => '#<RECORD .*</RECORD>#s', 'separator' => '',
        'records_path' => '#<DATA>.*</DATA>#s', 'text' => '<XM>',
    ],
    'estate' => [
        'code' => ['<r:ResultCode>00<', '<r:ResultCode>77<'],
        'record' => '#<b:Property>.*?</b:Property>#s', 'separator' => '',
        'records_path' => '#<b:Properties.*</b:Properties>#s', 'text' => '<b:Address>',
    ],
    'permit' => [
        'code' => ['"code":0,', '"code":7777,'],
        'record' => '#\{"permitNo".*?\}#s', 'separator' => ',',
        'records_path' => '#,"data":.*\}(?=\}$)#s', 'text' => '"name":"',
    ],
];
const DOCTYPE = '<!DOCTYPE bomb [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>';
const MIB = 1048576;
const KILL = 9; // php-fpm has no pcntl, which would name it

/** Fault => what it does with the right answer `$good`, the number `$n` of its path, and the system's shape. */
const FAULTS = [
    'slow' => 'fault_slow',                     // n seconds of silence, then the right answer
    'trickle' => 'fault_trickle',               // a byte every n milliseconds
    'cut' => 'fault_cut',                       // half of the length announced, then the connection closes
    'cut-chunked' => 'fault_cut_chunked',       // half of a chunked answer, then the connection closes
    'empty' => 'fault_empty',                   // a 200 without a body
    'status' => 'fault_status',                 // HTTP status n without a body
    'html' => 'fault_html',                     // a login page with status 200
    'soap-fault' => 'fault_soap_fault',         // a SOAP Fault with status 500
    'error-code' => 'fault_error_code',         // a result code nobody declared, in a 200
    'no-records' => 'fault_no_records',         // success, but the place of the records is missing
    'ill-formed' => 'fault_ill_formed',         // the document ends early, the HTTP message does not
    'ill-formed-nested' => 'fault_ill_formed_nested', // register: the document inside `return` is broken
    'doctype' => 'fault_doctype',               // a DOCTYPE with entities
    'doctype-nested' => 'fault_doctype_nested', // register: the same inside `return`
    'bad-bytes' => 'fault_bad_bytes',           // bytes that are no character in any of the encodings
    'flood' => 'fault_flood',                   // n MiB of well-formed records
    'token' => 'fault_token',                   // one text of n MiB
];

function emit(string $bytes): void
{
    echo $bytes;
    flush();
}

function fault_slow(string $good, int $n): void
{
    sleep($n);
    echo $good;
}

function fault_trickle(string $good, int $n): void
{
    foreach (str_split($good) as $byte) {
        emit($byte);
        usleep($n * 1000);
    }
}

function fault_cut(string $good): void
{
    header('Content-Length: ' . strlen($good));
    echo substr($good, 0, intdiv(strlen($good), 2));
}

function fault_cut_chunked(string $good): void
{
    emit(substr($good, 0, intdiv(strlen($good), 2)));
    usleep(50000); // the half must be on its way before the worker dies
    posix_kill(posix_getpid(), KILL);
}

function fault_empty(): void
{
}

function fault_status(string $good, int $n): void
{
    http_response_code($n);
}

function fault_html(): void
{
    header('Content-Type: text/html; charset=UTF-8');
    echo "<!DOCTYPE html>\n<html><head><title>统一登录</title></head><body><p>会话已过期，请重新登录<br></body></html>\n";
}

function fault_soap_fault(): void
{
    http_response_code(500);
    header('Content-Type: text/xml; charset=utf-8');
    echo '<?xml version="1.0" encoding="UTF-8"?>', "\n",
        '<SOAP-ENV:Envelope xmlns:SOAP-ENV="http://schemas.xmlsoap.org/soap/envelope/"><SOAP-ENV:Body><SOAP-ENV:Fault>',
        '<faultcode>SOAP-ENV:Server</faultcode><faultstring>ORA-01034: ORACLE not available</faultstring>',
        '</SOAP-ENV:Fault></SOAP-ENV:Body></SOAP-ENV:Envelope>', "\n";
}

function fault_error_code(string $good, int $n, array $shape): void
{
    echo str_replace($shape['code'][0], $shape['code'][1], $good);
}

function fault_no_records(string $good, int $n, array $shape): void
{
    echo preg_replace($shape['records_path'], '', $good);
}

function fault_ill_formed(string $good): void
{
    echo substr(rtrim($good), 0, -5);
}

function fault_ill_formed_nested(string $good): void
{
    echo str_replace('/DATA', '/DATE', $good);
}

function fault_doctype(string $good): void
{
    echo substr_replace($good, '?>' . DOCTYPE, (int) strpos($good, '?>'), 2);
}

function fault_doctype_nested(string $good): void
{
    echo substr_replace($good, '?>' . DOCTYPE, (int) strrpos($good, '?>'), 2);
}

function fault_bad_bytes(string $good, int $n, array $shape): void
{
    echo str_replace($shape['text'], $shape['text'] . "\xFF\xFF", $good);
}

function fault_flood(string $good, int $n, array $shape): void
{
    preg_match($shape['record'], $good, $record, PREG_OFFSET_CAPTURE);
    [$text, $offset] = $record[0];
    $one = $shape['separator'] . $text;
    $chunk = str_repeat($one, intdiv(MIB, strlen($one)) + 1);
    emit(substr($good, 0, $offset + strlen($text)));
    for ($sent = 0; $sent < $n * MIB && !connection_aborted(); $sent += strlen($chunk)) {
        emit($chunk);
    }
    emit(substr($good, $offset + strlen($text)));
}

function fault_token(string $good, int $n, array $shape): void
{
    $offset = strpos($good, $shape['text']) + strlen($shape['text']);
    emit(substr($good, 0, $offset));
    for ($i = 0; $i < $n && !connection_aborted(); $i++) {
        emit(str_repeat('A', MIB));
    }
    emit(substr($good, $offset));
}

set_time_limit(0);
$system = (string) getenv('SYSTEM');
[, , $fault, $n] = explode('/', (string) parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH)) + [3 => '0'];
if (!isset(FAULTS[$fault])) {
    http_response_code(404);
    exit;
}

ob_start();
require __DIR__ . "/../$system/service.php";
$good = (string) ob_get_clean();
while (ob_get_level() > 0) {
    ob_end_clean();
}
header_remove('Content-Length');
FAULTS[$fault]($good, (int) $n, SHAPES[$system]);
