package query

import (
	"context"
	"fmt"
	"strings"
)

// trinoMacros are Trino's functions that DuckDB lacks, or answers otherwise. They stand in the schema trino, where only
// queries in the Lake's dialect find them (see rewriteLake): for others DuckDB's own functions keep their meaning.
// Where Trino's answer depends on the type of an argument, CASE on typeof chooses; DuckDB resolves it before it runs.
var trinoMacros = []string{
	// Maps and arrays. Trino: null for a missing key or place; places count from 1, or from the end when negative.
	`element_at(x, k) AS x[k]`,
	`cardinality(x) AS CASE WHEN x IS NULL THEN NULL WHEN starts_with(typeof(x), 'MAP(') THEN CAST(len(json_keys(to_json(x))) AS BIGINT)
		ELSE CAST(json_array_length(to_json(x)) AS BIGINT) END`,
	`contains(a, v) AS CASE WHEN a IS NULL OR v IS NULL THEN NULL WHEN list_contains(a, v) THEN true
		WHEN list_position(a, NULL) IS NOT NULL THEN NULL ELSE false END`,
	`array_join(a, d) AS CASE WHEN a IS NOT NULL THEN coalesce(array_to_string(a, d), '') END,
		(a, d, n) AS CASE WHEN a IS NOT NULL THEN coalesce(array_to_string(list_transform(a, lambda x: coalesce(CAST(x AS VARCHAR), n)), d), '') END`,
	`array_distinct(a) AS list_filter(a, lambda x, i: list_position(a, x) = i)`,
	`array_position(a, v) AS CASE WHEN a IS NOT NULL AND v IS NOT NULL THEN coalesce(list_position(a, v), 0) END`,
	`array_sort(a) AS list_sort(a, 'ASC', 'NULLS LAST')`,
	`arrays_overlap(a, b) AS list_has_any(a, b)`,
	`any_match(a) AS CASE WHEN a IS NULL THEN NULL WHEN list_contains(a, true) THEN true
		WHEN list_position(a, NULL) IS NOT NULL THEN NULL ELSE false END`,
	`all_match(a) AS CASE WHEN a IS NULL THEN NULL WHEN list_contains(a, false) THEN false
		WHEN list_position(a, NULL) IS NOT NULL THEN NULL ELSE true END`,
	`none_match(a) AS CASE WHEN a IS NULL THEN NULL WHEN list_contains(a, true) THEN false
		WHEN list_position(a, NULL) IS NOT NULL THEN NULL ELSE true END`,

	// JSON, which may be given as text: what is no JSON gives null.
	`json_extract(j, p) AS json_extract(TRY_CAST(j AS JSON), p)`,
	`json_extract_scalar(j, p) AS CASE WHEN json_type(TRY_CAST(j AS JSON), p) NOT IN ('OBJECT', 'ARRAY') THEN json_extract_string(TRY_CAST(j AS JSON), p) END`,
	`json_parse(t) AS CAST(t AS JSON)`,
	`json_format(j) AS CAST(json(CAST(j AS JSON)) AS VARCHAR)`,
	`json_array_length(j) AS CASE WHEN json_type(TRY_CAST(j AS JSON)) = 'ARRAY' THEN CAST(json_array_length(TRY_CAST(j AS JSON)) AS BIGINT) END`,
	`json_array_get(j, i) AS CASE WHEN json_type(TRY_CAST(j AS JSON)) = 'ARRAY' THEN json_extract(TRY_CAST(j AS JSON), CAST(i AS BIGINT)) END`,
	`json_array_contains(j, v) AS CASE WHEN json_type(TRY_CAST(j AS JSON)) = 'ARRAY' THEN list_contains(CAST(TRY_CAST(j AS JSON) AS JSON[]), to_json(v)) END`,
	`json_size(j, p) AS CASE json_type(TRY_CAST(j AS JSON), p) WHEN 'ARRAY' THEN CAST(json_array_length(TRY_CAST(j AS JSON), p) AS BIGINT)
		WHEN 'OBJECT' THEN len(json_keys(TRY_CAST(j AS JSON), p)) ELSE CASE WHEN json_type(TRY_CAST(j AS JSON), p) IS NOT NULL THEN 0 END END`,
	// CAST(x AS varchar): JSON texts lose their quotes, JSON objects and arrays can't be cast, times have milliseconds.
	`"varchar"(x) AS CASE
		WHEN typeof(x) = 'JSON' THEN CASE WHEN json_type(to_json(x)) IN ('OBJECT', 'ARRAY')
			THEN error('cannot cast a JSON object or array to varchar; json_format can') ELSE json_extract_string(to_json(x), '$') END
		WHEN typeof(x) IN ('TIMESTAMP', 'TIMESTAMP WITH TIME ZONE') THEN strftime(TRY_CAST(CAST(x AS VARCHAR) AS TIMESTAMP), '%Y-%m-%d %H:%M:%S.%g')
			|| CASE WHEN typeof(x) = 'TIMESTAMP' THEN '' ELSE ' UTC' END
		ELSE CAST(x AS VARCHAR) END`,

	`try_varchar(x) AS CASE WHEN typeof(x) <> 'JSON' THEN trino."varchar"(x) WHEN json_type(to_json(x)) NOT IN ('OBJECT', 'ARRAY') THEN json_extract_string(to_json(x), '$') END`,

	// Texts.
	`replace(s, x) AS replace(s, x, ''), (s, x, r) AS replace(s, x, r)`,
	`split_part(s, d, i) AS string_split(s, d)[i]`,
	`regexp_like(s, p) AS regexp_matches(s, p)`,
	`regexp_extract(s, p) AS CASE WHEN regexp_matches(s, p) THEN regexp_extract(s, p) END,
		(s, p, g) AS CASE WHEN regexp_matches(s, p) THEN regexp_extract(s, p, g) END`,
	`regexp_replace(s, p) AS regexp_replace(s, p, '', 'g'),
		(s, p, r) AS regexp_replace(s, p, regexp_replace(replace(r, '\', '\\'), '\$(\d)', '\\\1', 'g'), 'g')`,
	`substr(s, a) AS CASE WHEN a = 0 THEN '' ELSE substr(s, a) END, (s, a, n) AS CASE WHEN a = 0 THEN '' ELSE substr(s, a, n) END`,
	`substring(s, a) AS CASE WHEN a = 0 THEN '' ELSE substr(s, a) END, (s, a, n) AS CASE WHEN a = 0 THEN '' ELSE substr(s, a, n) END`,

	// Conditions. Trino's greatest and least are null if any argument is.
	`if_else(c, a) AS CASE WHEN c THEN a END, (c, a, b) AS CASE WHEN c THEN a ELSE b END`,
	`greatest(a, b) AS CASE WHEN a IS NOT NULL AND b IS NOT NULL THEN greatest(a, b) END,
		(a, b, c) AS CASE WHEN a IS NOT NULL AND b IS NOT NULL AND c IS NOT NULL THEN greatest(a, b, c) END`,
	`least(a, b) AS CASE WHEN a IS NOT NULL AND b IS NOT NULL THEN least(a, b) END,
		(a, b, c) AS CASE WHEN a IS NOT NULL AND b IS NOT NULL AND c IS NOT NULL THEN least(a, b, c) END`,

	// Times. Trino's days of the week go from Monday, 1; date_diff counts whole units, not the bounds between.
	`day_of_week(t) AS isodow(t)`, `dow(t) AS isodow(t)`, `day_of_month(t) AS day(t)`, `day_of_year(t) AS dayofyear(t)`, `doy(t) AS dayofyear(t)`,
	`week_of_year(t) AS week(t)`, `year_of_week(t) AS isoyear(t)`, `yow(t) AS isoyear(t)`, `second(t) AS second(t)`,
	`millisecond(t) AS millisecond(t) % 1000`,
	`date(t) AS CAST(t AS DATE)`,
	`date_add(u, n, t) AS t + CASE lower(u) WHEN 'millisecond' THEN to_milliseconds(n) WHEN 'second' THEN to_seconds(n)
		WHEN 'minute' THEN to_minutes(n) WHEN 'hour' THEN to_hours(n) WHEN 'day' THEN to_days(CAST(n AS INTEGER)) WHEN 'week' THEN to_weeks(CAST(n AS INTEGER))
		WHEN 'month' THEN to_months(CAST(n AS INTEGER)) WHEN 'quarter' THEN to_months(CAST(3 * n AS INTEGER)) WHEN 'year' THEN to_years(CAST(n AS INTEGER))
		ELSE CAST('date_add: unknown unit ' || u AS INTERVAL) END`, // which fails; error() would keep DuckDB from computing it once,
	`date_diff(u, a, b) AS date_sub(u, CAST(a AS TIMESTAMP), CAST(b AS TIMESTAMP))`,
	`date_format(t, f) AS strftime(CAST(t AS TIMESTAMP), f)`,
	`date_parse(s, f) AS strptime(s, f)`,
	`from_iso8601_timestamp(s) AS CAST(s AS TIMESTAMPTZ)`,
	`from_iso8601_date(s) AS CAST(s AS DATE)`,
	`to_iso8601(t) AS CASE typeof(t) WHEN 'DATE' THEN CAST(t AS VARCHAR) ELSE strftime(CAST(t AS TIMESTAMP), '%Y-%m-%dT%H:%M:%S.%g')
		|| CASE WHEN typeof(t) = 'TIMESTAMP' THEN '' ELSE 'Z' END END`,
	`from_unixtime(n) AS to_timestamp(n)`,
	`to_unixtime(t) AS epoch(t)`,
}

// mysqlMarks are MySQL's marks in formats of time, which Trino's date_format has, and strftime's.
var mysqlMarks = map[byte]string{'Y': "%Y", 'y': "%y", 'm': "%m", 'd': "%d", 'H': "%H", 'i': "%M", 's': "%S", 'S': "%S", 'T': "%H:%M:%S", 'f': "%f",
	'j': "%j", 'p': "%p", 'a': "%a", 'W': "%A", 'M': "%B", 'b': "%b", 'c': "%-m", 'e': "%-d", 'k': "%-H", 'h': "%I", 'I': "%I", 'l': "%-I",
	'r': "%I:%M:%S %p", '%': "%%"}

// trinoSame lists Trino's functions that mean the same in DuckDB, by the same name.
var trinoSame = strings.Fields(`count sum min max avg count_if max_by min_by bool_and bool_or array_agg stddev stddev_pop stddev_samp variance
	var_pop var_samp corr
	row_number rank dense_rank percent_rank cume_dist ntile lag lead first_value last_value nth_value
	coalesce nullif try cast try_cast extract row map array grouping
	lower upper length trim ltrim rtrim lpad rpad reverse chr strpos position starts_with concat_ws regexp_extract_all split translate
	abs ceil ceiling floor round power pow sqrt cbrt exp ln log2 log10 mod sign pi trunc degrees radians
	year quarter month week day hour minute date_trunc now last_day_of_month
	map_keys map_values flatten unnest exists in any all some values interval timestamp`)

// trinoRenamed lists Trino's functions that DuckDB has under another name.
var trinoRenamed = map[string]string{
	"approx_distinct": "approx_count_distinct", "arbitrary": "any_value", "any_value": "any_value", "approx_percentile": "approx_quantile",
	"every": "bool_and", "regexp_split": "string_split_regex", "array_max": "list_max", "array_min": "list_min", "last_day_of_month": "last_day",
	"transform": "list_transform", "filter": "list_filter", "truncate": "trunc", "sequence": "generate_series",
	"if": "trino.if_else",
}

// makeMacros makes the macros, once.
func (s *session) makeMacros() error {
	s.db.macros.Do(func() {
		for _, statement := range macroStatements() {
			if _, err := s.conn.ExecContext(context.WithoutCancel(s.ctx), statement, nil); err != nil {
				s.db.macroError = fmt.Errorf("setting DuckDB up: %w", err)
				return
			}
		}
	})
	return s.db.macroError
}

// macroStatements returns the statements that make the macros.
func macroStatements() []string {
	statements := []string{"CREATE SCHEMA trino"}
	for _, m := range trinoMacros {
		statements = append(statements, "CREATE MACRO trino."+m)
	}
	return statements
}

// macroNames returns the names of the macros that a query may name.
func macroNames() map[string]bool {
	names := map[string]bool{}
	for _, m := range trinoMacros {
		name, _, _ := strings.Cut(m, "(")
		names[strings.Trim(name, `"`)] = true
	}
	return names
}

// maxGrowth bounds how many times macros may repeat what stands in them: DuckDB puts an argument wherever a macro names
// it, so nested calls multiply, before a limit of time or memory is heeded.
const maxGrowth = 5000

// growth is how often a macro repeats an argument, at most.
func growth(name string) int {
	switch name {
	case "json_size", "contains", "any_match", "all_match", "none_match", "varchar", "try_varchar":
		return 6
	case "json_extract_scalar", "json_array_length", "json_array_get", "json_array_contains", "cardinality", "to_iso8601", "greatest", "least":
		return 4
	}
	return 2
}
