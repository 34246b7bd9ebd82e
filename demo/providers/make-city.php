#!/usr/bin/env php
<?php
/**
 * make-city.php FILE [PEOPLE]: writes the city's SQLite database, 100 000 people unless told.
 *
 * Nobody in it exists: identity numbers are valid but lie in regions 99xxxx, which were never assigned.
 * The same arguments make the same rows on every machine (one seeded generator, no clock).
 * The file appears whole or not at all.
 */
declare(strict_types=1);

require __DIR__ . '/shared/id-number.php';

const SEED = 20260901;
/** The rows of one INSERT; SQLite allows 32766 values in a statement. */
const BATCH = 500;

const SCHEMA = <<<'SQL'
CREATE TABLE household (no TEXT PRIMARY KEY, division TEXT NOT NULL, address TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE person (
    id_no TEXT PRIMARY KEY, name TEXT NOT NULL, sex TEXT NOT NULL, nation TEXT NOT NULL,
    household TEXT NOT NULL, relation TEXT NOT NULL, -- to the head of the household, who is 01
    moved_in TEXT NOT NULL, -- yyyyMMdd, 00000000 for one who always lived there
    locked INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE property (
    no TEXT PRIMARY KEY, cert_no TEXT NOT NULL, address TEXT NOT NULL, area TEXT NOT NULL,
    registered TEXT NOT NULL, status TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE property_right (
    property TEXT NOT NULL, id_no TEXT NOT NULL, rank INTEGER NOT NULL,
    share TEXT NOT NULL, -- empty: a right of habitation, no ownership
    PRIMARY KEY (property, id_no)) WITHOUT ROWID;
CREATE TABLE permit (
    no TEXT PRIMARY KEY, id_no TEXT NOT NULL, division TEXT NOT NULL, address TEXT NOT NULL,
    since TEXT NOT NULL, valid_to TEXT NOT NULL, status TEXT NOT NULL) WITHOUT ROWID;
SQL;
const INDEXES = <<<'SQL'
CREATE INDEX person_household ON person (household);
CREATE INDEX right_person ON property_right (id_no);
CREATE INDEX permit_person ON permit (id_no);
SQL;

/** County code => name. 9901xx is the city of the demo, 9902xx its neighbour, whose people come to work. */
const COUNTIES = [
    '990102' => '星河市河东区', '990103' => '星河市河西区', '990104' => '星河市开发区', '990122' => '星河市南原县',
    '990202' => '月港市海州区', '990221' => '月港市临水县',
];
const STREETS = ['青石街道', '梧桐街道', '港湾街道', '新桥街道', '柳湾镇', '石桥镇'];
const COMMUNITIES = ['育才社区', '杏林社区', '学府社区', '锦绣社区', '望海社区', '向阳社区', '渡口村', '槐树村'];
const SURNAMES = '王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕';
const LONG_SURNAMES = ['欧阳', '司马', '诸葛', '上官'];
const GIVEN = '安柏晨丹尔菲国海佳开兰明宁鹏琪瑞思天文夏小雅一永志子云舒岚静远清润禾松竹梅青川溪林峰雨雪晴春秋嘉和平康乐';
/** Beyond GB2312; 𠮷 and 𬭳 beyond the basic plane as well. */
const RARE = '䶮𠮷㛃〇䴖𬭳';
const UYGHUR_NAMES = ['阿依努尔·买买提', '古丽娜尔·艾山', '艾尔肯·托合提', '阿卜杜拉·吾买尔'];

function chance(int $percent): bool
{
    return mt_rand(1, 100) <= $percent;
}

function pick(array $values): mixed
{
    return $values[mt_rand(0, count($values) - 1)];
}

/** Collects the rows of one table and inserts them in batches. */
class Table
{
    private array $values = [];
    public int $count = 0;

    public function __construct(private PDO $db, private string $name, private int $width)
    {
    }

    public function add(array $row): void
    {
        array_push($this->values, ...$row);
        $this->count++;
        if ($this->count % BATCH === 0) {
            $this->flush();
        }
    }

    public function flush(): void
    {
        if ($this->values === []) {
            return;
        }
        $row = '(' . implode(',', array_fill(0, $this->width, '?')) . ')';
        $rows = implode(',', array_fill(0, intdiv(count($this->values), $this->width), $row));
        $this->db->prepare("INSERT INTO $this->name VALUES $rows")->execute($this->values);
        $this->values = [];
    }
}

/** Makes households until the city is full; every choice comes from the one seeded generator. */
class City
{
    private array $surnames;
    private array $given;
    private array $rare;
    private array $taken = [];
    private int $households = 1000;

    /** @param Table[] $tables by name */
    public function __construct(private array $tables)
    {
        $this->surnames = mb_str_split(SURNAMES);
        $this->given = mb_str_split(GIVEN);
        $this->rare = mb_str_split(RARE);
    }

    public function fill(int $people): void
    {
        while ($this->tables['person']->count < $people) {
            $this->household($people - $this->tables['person']->count);
        }
    }

    /** One household of at most `$room` people, with what its adults own and where they are registered. */
    private function household(int $room): void
    {
        $no = sprintf('%09d', ++$this->households);
        [$division, $address] = $this->home(pick(array_keys(COUNTIES)));
        $this->tables['household']->add([$no, $division, $address]);

        $relations = $this->relations();
        $born = mt_rand(1945, 2001);
        $surname = $this->surname();
        $adults = [];
        $arrived = chance(35) ? '00000000' : $this->date(2002, 2025, '%04d%02d%02d');
        foreach (array_slice($relations, 0, $room) as [$relation, $sex, $shift]) {
            $year = min($born + $shift + mt_rand(-2, 2), 2025);
            $id = $this->id_number(substr($division, 0, 6), $year, $sex);
            [$name, $nation] = $this->name($relation === '10' ? $this->surname() : $surname);
            $moved_in = $year <= 2001 ? $arrived : '00000000';
            $this->tables['person']->add([$id, $name, $sex, $nation, $no, $relation, $moved_in, 0]);
            if ($year <= 2004) {
                $adults[] = $id;
            }
        }
        if ($adults !== []) {
            $this->properties($adults);
            $this->permits($adults, $division);
        }
    }

    /** [relation, sex, years younger than the head] for head, partner, children and a parent. */
    private function relations(): array
    {
        $head = (string) mt_rand(1, 2);
        $relations = [['01', $head, 0]];
        if (chance(70)) {
            $relations[] = ['10', $head === '1' ? '2' : '1', 1];
        }
        for ($children = pick([0, 1, 1, 1, 2, 2, 3]); $children > 0; $children--) {
            $sex = (string) mt_rand(1, 2);
            $relations[] = [$sex === '1' ? '20' : '30', $sex, 24 + mt_rand(0, 9)];
        }
        if (chance(12)) {
            $sex = (string) mt_rand(1, 2);
            $relations[] = [$sex === '1' ? '51' : '52', $sex, -26];
        }
        return $relations;
    }

    /** [twelve-digit division code, address] somewhere in a county. */
    private function home(int|string $county): array
    {
        $street = mt_rand(1, count(STREETS));
        $community = mt_rand(1, count(COMMUNITIES));
        $place = COUNTIES[$county] . STREETS[$street - 1] . COMMUNITIES[$community - 1];
        return [
            sprintf('%s%03d%03d', $county, $street, $community),
            sprintf('%s%d号楼%d单元%d%02d室', $place, mt_rand(1, 40), mt_rand(1, 4), mt_rand(1, 18), mt_rand(1, 4)),
        ];
    }

    private function surname(): string
    {
        return mt_rand(1, 300) === 1 ? pick(LONG_SURNAMES) : pick($this->surnames);
    }

    /** [name, nationality code] */
    private function name(string $surname): array
    {
        if (mt_rand(1, 250) === 1) {
            return [pick(UYGHUR_NAMES), '05'];
        }
        $name = $surname . pick($this->given);
        if (mt_rand(1, 200) === 1) {
            return [$name . pick($this->rare), '01'];
        }
        return [chance(75) ? $name . pick($this->given) : $name, '01'];
    }

    /** A number nobody has yet: odd sequences are male, those from 900 up are kept for the story. */
    private function id_number(string $county, int $year, string $sex): string
    {
        do {
            $sequence = 2 * mt_rand(0, 448) + ($sex === '1' ? 1 : 2);
            $digits = $county . $this->date($year, $year, '%04d%02d%02d') . sprintf('%03d', $sequence);
        } while (isset($this->taken[$digits]));
        $this->taken[$digits] = true;
        return $digits . id_check_digit($digits);
    }

    private function date(int $from, int $to, string $format): string
    {
        return sprintf($format, mt_rand($from, $to), mt_rand(1, 12), mt_rand(1, 28));
    }

    /** Most own nothing or one home, alone or in halves; a few own several. */
    private function properties(array $adults): void
    {
        $owners = array_slice($adults, 0, chance(55) ? 2 : 1);
        for ($count = pick([0, 0, 0, 0, 0, 1, 1, 1, 2, 3]); $count > 0; $count--) {
            $serial = $this->tables['property']->count + 100000;
            [$division, $address] = $this->home(pick(['990102', '990103', '990104', '990122']));
            $no = sprintf('%sGB%05dF%08d', $division, intdiv($serial, 1000), $serial);
            $registered = $this->date(1999, 2025, '%04d-%02d-%02d');
            $this->tables['property']->add([
                $no, sprintf('星（%s）星河市不动产权第%07d号', substr($registered, 0, 4), 200000 + $serial),
                $address, sprintf('%d.%02d', mt_rand(40, 180), mt_rand(0, 99)), $registered, pick(['1', '1', '1', '1', '2', '3', '3', '4']),
            ]);
            foreach ($owners as $rank => $id) {
                $this->tables['property_right']->add([$no, $id, $rank + 1, count($owners) === 2 ? '50%' : '100%']);
            }
        }
    }

    /** People of the neighbouring city who live in this one. */
    private function permits(array $adults, string $division): void
    {
        if (!str_starts_with($division, '9902') || !chance(30)) {
            return;
        }
        [$home, $address] = $this->home(pick(['990102', '990103', '990104']));
        $since = $this->date(2015, 2025, '%04d-%02d-%02d');
        foreach ($adults as $id) {
            $serial = $this->tables['permit']->count + 100000;
            $status = pick(['1', '1', '1', '2', '3']);
            $valid_to = $status === '1' ? '2027-08-31' : '2025-12-31';
            $this->tables['permit']->add([
                sprintf('000%s%09d', substr($home, 0, 6), $serial), $id, $home, $address, $since, $valid_to, $status,
            ]);
        }
    }
}

/** Stops on a story person whose number is not valid: a typing error there would mislead every test. */
function check_story(array $story): void
{
    foreach ($story['person'] as [$id]) {
        if (!id_is_valid($id)) {
            fwrite(STDERR, "story-people.php: $id has a wrong check digit\n");
            exit(1);
        }
    }
}

function make_city(string $file, int $people): void
{
    $story = require __DIR__ . '/story-people.php';
    check_story($story);
    $part = "$file.part";
    @unlink($part);
    $db = new PDO("sqlite:$part");
    $db->exec('PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF');
    $db->exec(SCHEMA);
    $db->beginTransaction();
    $tables = [];
    foreach ($story as $name => $rows) {
        $tables[$name] = new Table($db, $name, count($rows[0]));
        array_walk($rows, static fn (array $row) => $tables[$name]->add($row));
    }
    mt_srand(SEED);
    (new City($tables))->fill($people);
    foreach ($tables as $table) {
        $table->flush();
    }
    $db->exec(INDEXES);
    $db->commit();
    rename($part, $file);
    foreach ($tables as $name => $table) {
        printf("%s %d\n", $name, $table->count);
    }
}

if ($argc < 2 || $argc > 3 || (int) ($argv[2] ?? 1) < 1) {
    fwrite(STDERR, "usage: make-city.php FILE [PEOPLE]\n");
    exit(2);
}
make_city($argv[1], (int) ($argv[2] ?? 100000));
