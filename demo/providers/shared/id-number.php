<?php
/**
 * Identity numbers (GB 11643): 17 digits and a check digit, which is X for ten.
 * The only thing all three legacy systems agree on.
 */
declare(strict_types=1);

const ID_WEIGHTS = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];

/** The check digit for the first 17 digits of an identity number. */
function id_check_digit(string $digits): string
{
    $sum = 0;
    foreach (ID_WEIGHTS as $i => $weight) {
        $sum += $weight * (int) $digits[$i];
    }
    return '10X98765432'[$sum % 11];
}

function id_is_valid(string $id): bool
{
    return preg_match('/^\d{17}[\dX]$/D', $id) === 1 && id_check_digit($id) === $id[17];
}
