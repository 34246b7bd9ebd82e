<?php
/**
 * Read access to the city's database. The path comes from the php-fpm pool (CITY_DB); the
 * file is opened read-only, so a provider system can never change what the story asserts.
 */
declare(strict_types=1);

/** Rows of a query, each an array by column name. */
function city_rows(string $sql, string ...$values): array
{
    static $db = null;
    $db ??= new PDO('sqlite:' . getenv('CITY_DB'), options: [
        PDO::SQLITE_ATTR_OPEN_FLAGS => PDO::SQLITE_OPEN_READONLY,
        PDO::ATTR_DEFAULT_FETCH_MODE => PDO::FETCH_ASSOC,
    ]);
    $statement = $db->prepare($sql);
    $statement->execute($values);
    return $statement->fetchAll();
}

/** The first row, or null when there is none. */
function city_row(string $sql, string ...$values): ?array
{
    return city_rows($sql, ...$values)[0] ?? null;
}
