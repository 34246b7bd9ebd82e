<?php
/**
 * Real-estate registry (自然资源 不动产登记), POST /estate/query: namespaced XML over plain HTTP.
 *
 * The registry moved from GBK to GB18030 for the names of owners but kept the label: declaration and
 * Content-Type say GBK, the bytes are GB18030 (䶮 is FE9F, 𠮷 is 9534B235, which GBK cannot hold).
 * Requests are written the same way. Prefixes differ between request and answer; only the URIs count.
 * A person with no property gets result 00 and an empty b:Properties; a person it never heard of gets 01.
 */
declare(strict_types=1);

require __DIR__ . '/../shared/city.php';
require __DIR__ . '/../shared/id-number.php';
require __DIR__ . '/../shared/journal.php';

const NS_QUERY = 'urn:estate:query:1.0';
const NS_RESPONSE = 'urn:estate:response:1.0';
const NS_PROPERTY = 'urn:estate:property:1.0';

const RESULTS = [
    '00' => '查询成功',
    '01' => '查无此权利人',
    '40' => '请求报文不正确',
    '90' => '登记簿被锁定，请稍后再试',
];
const STATUS = ['1' => '现势', '2' => '查封', '3' => '抵押', '4' => '注销'];

/** The charset a document says it is in, upper case; every GB label means GB18030. */
function declared_charset(string $document): string
{
    preg_match('/^<\?xml[^>]*encoding=["\']([\w.-]+)/', $document, $label);
    $charset = strtoupper($label[1] ?? 'UTF-8');
    return in_array($charset, ['GB2312', 'GBK', 'GB18030'], true) ? 'GB18030' : 'UTF-8';
}

/** The identity number asked about, or null when the request is not one. */
function requested_id(string $document): ?string
{
    $utf8 = mb_convert_encoding($document, 'UTF-8', declared_charset($document));
    $utf8 = preg_replace('/^<\?xml[^>]*\?>/', '', $utf8);
    $dom = new DOMDocument();
    if (str_contains($utf8, '<!DOCTYPE') || !@$dom->loadXML($utf8, LIBXML_NONET)) {
        return null;
    }
    $path = new DOMXPath($dom);
    $path->registerNamespace('q', NS_QUERY);
    $id = $path->evaluate('string(/q:Query/q:Owner/q:IdNo)');
    return id_is_valid($id) ? $id : null;
}

/** Properties in which the person holds a right, oldest registration first. */
function properties_of(string $id): array
{
    return city_rows(
        'SELECT p.*, r.share AS own_share FROM property p JOIN property_right r ON r.property = p.no
          WHERE r.id_no = ? ORDER BY p.registered, p.no',
        $id,
    );
}

function write_property(XMLWriter $xml, array $property): void
{
    $xml->startElement('b:Property');
    $xml->writeElement('b:CertNo', $property['cert_no']);
    $xml->writeElement('b:UnitNo', $property['no']);
    $xml->writeElement('b:Address', $property['address']);
    $xml->writeElement('b:Area', $property['area']);
    $xml->writeElement('b:Registered', $property['registered']);
    $xml->startElement('b:Status');
    $xml->writeAttribute('code', $property['status']);
    $xml->text(STATUS[$property['status']]);
    $xml->endElement();
    /* A right of habitation (居住权) has no share: its holder lives there and owns nothing. */
    $xml->writeElement('b:IsOwner', $property['own_share'] === '' ? '否' : '是');
    $xml->startElement('b:Owners');
    $owners = city_rows(
        "SELECT r.id_no, r.share, p.name FROM property_right r JOIN person p ON p.id_no = r.id_no
          WHERE r.property = ? AND r.share <> '' ORDER BY r.rank",
        $property['no'],
    );
    foreach ($owners as $owner) {
        $xml->startElement('b:Owner');
        $xml->writeAttribute('share', $owner['share']);
        $xml->writeElement('b:Name', $owner['name']);
        $xml->writeElement('b:IdNo', $owner['id_no']);
        $xml->endElement();
    }
    $xml->endElement();
    $xml->endElement();
}

/** The whole answer in UTF-8, without its declaration; `$properties` is null unless the result is 00. */
function response(string $code, ?array $properties): string
{
    $xml = new XMLWriter();
    $xml->openMemory();
    $xml->startElement('r:Response');
    $xml->writeAttribute('xmlns:r', NS_RESPONSE);
    $xml->writeAttribute('xmlns:b', NS_PROPERTY);
    $xml->startElement('r:Head');
    $xml->writeElement('r:ResultCode', $code);
    $xml->writeElement('r:ResultText', RESULTS[$code]);
    $xml->endElement();
    $xml->startElement('r:Body');
    if ($properties !== null) {
        $xml->startElement('b:Properties');
        $xml->writeAttribute('total', (string) count($properties));
        foreach ($properties as $property) {
            write_property($xml, $property);
        }
        $xml->endElement();
    }
    $xml->endElement();
    $xml->endElement();
    return $xml->outputMemory();
}

journal_request(declared_charset(request_body()));

$id = requested_id(request_body());
$person = $id === null ? null : city_row('SELECT locked FROM person WHERE id_no = ?', $id);
$code = match (true) {
    $id === null => '40',
    $person === null => '01',
    (bool) $person['locked'] => '90',
    default => '00',
};
$answer = response($code, $code === '00' ? properties_of($id) : null);

header('Content-Type: text/xml; charset=GBK');
echo '<?xml version="1.0" encoding="GBK"?>', "\n", mb_convert_encoding($answer, 'GB18030', 'UTF-8');
