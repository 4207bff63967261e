-- Lists the files of some verified batches in file_rows. Each parameter is a list with one value per file.
INSERT INTO file_rows
SELECT unnest($batch_id), unnest($role), unnest($path), unnest($sha256), unnest($size), unnest($mtime_ns), unnest($inode)
