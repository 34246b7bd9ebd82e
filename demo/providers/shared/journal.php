<?php
/**
 * What a provider received, one JSON line a request, in the file named by REQUEST_LOG.
 * The line is written before the request is answered, so a failing answer leaves its line too.
 * A bearer secret is named, never written.
 */
declare(strict_types=1);

/** The request body, as received. */
function request_body(): string
{
    static $body = null;
    return $body ??= (string) file_get_contents('php://input');
}

/** Subject and first URI name of the client certificate nginx verified; null without one. */
function client_certificate(): ?array
{
    $pem = rawurldecode($_SERVER['SSL_CLIENT_ESCAPED_CERT'] ?? '');
    if ($pem === '' || ($_SERVER['SSL_CLIENT_VERIFY'] ?? '') !== 'SUCCESS') {
        return null;
    }
    $certificate = openssl_x509_parse($pem);
    $dn = [];
    foreach ($certificate['subject'] as $type => $value) {
        $dn[] = $type . '=' . implode('+', (array) $value);
    }
    preg_match('/URI:([^,\s]+)/', $certificate['extensions']['subjectAltName'] ?? '', $uri);
    return ['dn' => implode(',', $dn), 'uri' => $uri[1] ?? null];
}

/** Appends the line. `$charset` is what the body is written in; the line itself is UTF-8. */
function journal_request(string $charset = 'UTF-8'): void
{
    $auth = $_SERVER['HTTP_AUTHORIZATION'] ?? null;
    $line = [
        'at' => (new DateTimeImmutable())->format('Y-m-d\TH:i:s.vP'),
        'system' => getenv('SYSTEM'),
        'method' => $_SERVER['REQUEST_METHOD'] ?? '',
        'path' => $_SERVER['REQUEST_URI'] ?? '',
        'content_type' => $_SERVER['CONTENT_TYPE'] ?? '',
        'x_user' => $_SERVER['HTTP_X_USER'] ?? null,
        'client' => client_certificate(),
        'authorization' => $auth === null ? null : strtok($auth, ' ') . ' ***',
        'body' => mb_convert_encoding(request_body(), 'UTF-8', $charset),
    ];
    $flags = JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES | JSON_INVALID_UTF8_SUBSTITUTE;
    file_put_contents((string) getenv('REQUEST_LOG'), json_encode($line, $flags) . "\n", FILE_APPEND | LOCK_EX);
}
