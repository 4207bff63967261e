-- Purpose:    how many requests fit
-- Parameters: run_id, label, domain (NULL = all), search (as in requests_page)
-- Grain:      one row
-- Columns:    total
SELECT count(*) AS total
FROM request_rows
WHERE ($run_id IS NULL OR run_id = $run_id) AND ($label IS NULL OR label = $label)
    AND ($domain IS NULL OR domain = $domain) AND ($search IS NULL OR contains(lower(text), lower($search)))
