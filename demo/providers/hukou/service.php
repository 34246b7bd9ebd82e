<?php
/**
 * Household register (公安 户籍), POST /service: SOAP 1.1 document/literal over mutual TLS.
 *
 * Bought in 2009 and kept alive since. The vendor's database spoke GB2312 then, so the answer is an XML
 * document put as text into the envelope's `return`, and its declaration still says GB2312 although the
 * bytes became UTF-8 with the envelope when people with rare characters in their names had to be served.
 * `type` 01 gets that text as CDATA, 02 as escaped text, for the two generations of callers.
 * Every answer is an HTTP 200; what happened is in PACKAGE/HEAD/CODE.
 */
declare(strict_types=1);

require __DIR__ . '/../shared/city.php';
require __DIR__ . '/../shared/id-number.php';
require __DIR__ . '/../shared/journal.php';

const RESULTS = [
    '0000' => '成功',
    '0001' => '查无此人',
    '0002' => '身份证号码格式不正确',
    '0003' => '查询类型不正确',
    '0009' => '该户籍资料已锁定，暂停对外服务',
];

class Register
{
    /** The operation of the WSDL. `$query` has sfzh (identity number) and type (form of the answer). */
    public function QueryPerson(object $query): array
    {
        $person = null;
        $code = match (true) {
            !in_array($query->type, ['01', '02'], true) => '0003',
            !id_is_valid($query->sfzh) => '0002',
            ($person = $this->person($query->sfzh)) === null => '0001',
            (bool) $person['locked'] => '0009',
            default => '0000',
        };
        $package = $this->package($code, $code === '0000' ? $person : null);
        if ($query->type === '02') {
            return ['return' => $package];
        }
        $text = str_replace(']]>', ']]]]><![CDATA[>', $package);
        return ['return' => new SoapVar("<h:return xmlns:h=\"urn:hukou\"><![CDATA[$text]]></h:return>", XSD_ANYXML)];
    }

    private function person(string $id): ?array
    {
        return city_row(
            'SELECT p.*, h.division, h.address FROM person p JOIN household h ON h.no = p.household WHERE p.id_no = ?',
            $id,
        );
    }

    /** The document inside `return`; its label is wrong on purpose, so XMLWriter must not know of it. */
    private function package(string $code, ?array $person): string
    {
        $xml = new XMLWriter();
        $xml->openMemory();
        $xml->startElement('PACKAGE');
        $xml->startElement('HEAD');
        $xml->writeElement('CODE', $code);
        $xml->writeElement('MSG', RESULTS[$code]);
        $xml->endElement();
        $xml->startElement('DATA');
        if ($person !== null) {
            $this->record($xml, $person);
        }
        $xml->endElement();
        $xml->endElement();
        return '<?xml version="1.0" encoding="GB2312"?>' . "\n" . $xml->outputMemory();
    }

    private function record(XMLWriter $xml, array $person): void
    {
        $xml->startElement('RECORD');
        $xml->writeAttribute('SFZH', $person['id_no']);
        $fields = [
            'XM' => $person['name'],
            'XB' => $person['sex'],
            'MZ' => $person['nation'],
            'CSRQ' => substr($person['id_no'], 6, 8),
            'HH' => $person['household'],
            'YHZGX' => $person['relation'],
            'QHDM' => $person['division'],
            'ZZ' => $person['address'],
            'QRRQ' => $person['moved_in'],
        ];
        foreach ($fields as $name => $value) {
            $xml->writeElement($name, $value);
        }
        $xml->startElement('CY');
        $members = city_rows(
            'SELECT id_no, name, relation FROM person WHERE household = ? ORDER BY relation, id_no',
            $person['household'],
        );
        foreach ($members as $member) {
            $xml->startElement('R');
            $xml->writeAttribute('GX', $member['relation']);
            $xml->writeElement('SFZH', $member['id_no']);
            $xml->writeElement('XM', $member['name']);
            $xml->endElement();
        }
        $xml->endElement();
        $xml->endElement();
    }
}

journal_request();

/* The authority that issued the caller's certificate vouches for many; the register serves one of them. */
$served = (string) getenv('CLIENT_URI');
if ($served !== '' && (client_certificate()['uri'] ?? '') !== $served) {
    http_response_code(403);
    exit;
}

$server = new SoapServer(__DIR__ . '/query-person.wsdl', [
    'soap_version' => SOAP_1_1,
    'encoding' => 'UTF-8',
    'cache_wsdl' => WSDL_CACHE_MEMORY,
]);
$server->setObject(new Register());
$server->handle(request_body());
