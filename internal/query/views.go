package query

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aitrail/aitrail/internal/lake"
)

// views lists the views a query may read.
var views = []string{"calls", "events", "invocations", "log_files", "digests", lakeView}

// callColumns are the columns of calls in their order, and the expressions over e, an event that is a call, d, what
// the end of its stream told (tokens of streams stand there alone), and i, its invocation in a model invocation log.
var callColumns = []struct{ name, expr, doc string }{
	{"time", `e."eventTime"`, "when the call ended"},
	{"ai_service", `e.ai_service`, "the service's key in the catalog"},
	{"operation", `e."eventName"`, "the operation: InvokeModel"},
	{"operation_class", `e.operation_class`, "inference, retrieval, agent, training, configuration, access, other"},
	{"model_id", `e.model_id`, "the model: the base model where it can be known"},
	{"inference_region", `coalesce(d.inference_region, e.inference_region, i.inference_region)`, "the Region where the model ran"},
	{"actor", `e.actor`, "who really called"},
	{"actor_kind", `e.actor_kind`, "root, user, role, federated, service, api_key, anonymous, account, unknown"},
	{"client", `e.client`, "console, cli, sdk/LANGUAGE, …"},
	{"outcome", `e.outcome`, "ok, denied, throttled, invalid, error"},
	{"error_code", `e."errorCode"`, "AWS's error code"},
	{"error_message", `e."errorMessage"`, "AWS's error message"},
	{"input_tokens", `coalesce(e.input_tokens, d.input_tokens, i.input_tokens)`, "tokens in; null when no record tells"},
	{"output_tokens", `coalesce(e.output_tokens, d.output_tokens, i.output_tokens)`, "tokens out; null when no record tells"},
	{"guardrail_id", `e.guardrail_id`, "the guardrail applied"},
	{"cache_read_tokens", `i.cache_read_tokens`, "tokens in that were read from the prompt cache; from model invocation logs"},
	{"cache_write_tokens", `i.cache_write_tokens`, "tokens in that were written to the prompt cache; from model invocation logs"},
	{"latency_ms", `i.latency_ms`, "how long the model took, in milliseconds; from model invocation logs"},
	{"stop_reason", `i.stop_reason`, "why the answer ended; from model invocation logs"},
	{"guardrail_action", `i.guardrail_action`, "INTERVENED or NONE; from model invocation logs"},
	{"account", `e."recipientAccountId"`, "the account called"},
	{"region", `e."awsRegion"`, "the Region called"},
	{"source_ip", `e."sourceIPAddress"`, "the caller's address, or an AWS service's name"},
	{"user_agent", `e."userAgent"`, "the caller's program"},
	{"request_id", `e."requestID"`, "the request's id, as the caller got it"},
	{"event_id", eventIDText("e."), "the event's id"},
	{"event_source", `e."eventSource"`, "the service: bedrock.amazonaws.com"},
	{"event_category", `e."eventCategory"`, "Management, Data, NetworkActivity"},
	{"read_only", `e."readOnly"`, "whether AWS says that the operation only reads; can't be relied upon"},
	{"user_identity", `e."userIdentity"`, "who called, as CloudTrail tells it"},
	{"request_parameters", `e."requestParameters"`, "JSON text"},
	{"response_elements", `e."responseElements"`, "JSON text"},
	{"additional_event_data", `e."additionalEventData"`, "JSON text"},
	{"resources", `e.resources`, "the resources accessed"},
	{"source_object", `e.source_object`, "URL of the log file"},
	{"source_index", `e.source_index`, "place of the record in the log file, from 0"},
	{verdictColumn, `v.verdict`, verdictDoc},
}

// tokenColumns are the columns of calls that the end of a stream tells, and invocationColumns those that an invocation tells.
var (
	tokenColumns      = []string{"input_tokens", "output_tokens", "inference_region"}
	invocationColumns = append([]string{"cache_read_tokens", "cache_write_tokens", "latency_ms", "stop_reason", "guardrail_action"}, tokenColumns...)
)

// withoutInvocations is a column's expression where there are no invocations to join.
func withoutInvocations(name, expr string) string {
	switch column := strings.TrimPrefix(expr, "i."); {
	case column == expr:
		return strings.Replace(expr, ", i."+name, "", 1)
	case strings.HasSuffix(name, "_tokens"), strings.HasSuffix(name, "_ms"):
		return "CAST(NULL AS BIGINT)"
	}
	return "CAST(NULL AS VARCHAR)"
}

const (
	verdictColumn = "verdict"
	verdictDoc    = "what is proven of that log file: verified, pending, unverifiable, failed; null when nobody looked yet"
)

// verdictSQL selects the verdict of each object that events come from. Where another content was collected from one object
// later, it is the one that proves less: which of the two an event is from the lake doesn't tell.
func verdictSQL(logFiles []lake.DataFile) string {
	return `SELECT object, CASE max(CASE verdict WHEN 'failed' THEN 4 WHEN 'unverifiable' THEN 3 WHEN 'pending' THEN 1 WHEN 'verified' THEN 0 ELSE 2 END)
		WHEN 4 THEN 'failed' WHEN 3 THEN 'unverifiable' WHEN 1 THEN 'pending' WHEN 0 THEN 'verified' END AS verdict
	FROM (` + tableSQL(lake.LogFiles, logFiles) + `) WHERE status = 'collected' GROUP BY object`
}

// eventIDText is an event's id as text; the lake keeps one that is no UUID in extra.
func eventIDText(of string) string {
	return `coalesce(CAST(` + of + `"eventID" AS VARCHAR), json_extract_string(` + of + `extra, '$.eventID'))`
}

// Columns returns the columns of a view in their order, or nil for a name that is no view's.
func Columns(view string) []Column {
	var columns []Column
	if view == "calls" {
		types := callTypes()
		for i, c := range callColumns {
			column := newColumn(c.name, types[i])
			column.Doc = c.doc
			columns = append(columns, column)
		}
		return columns
	}
	if view == lakeView {
		for _, c := range lakeColumns {
			column := newColumn(c.name, c.typ)
			column.Doc = c.doc
			columns = append(columns, column)
		}
		return columns
	}
	for _, c := range lake.Columns(view) {
		column := newColumn(c.Name, sqlType(c))
		column.Doc = c.Doc
		columns = append(columns, column)
	}
	if view == "events" || view == "digests" {
		column := newColumn(verdictColumn, "VARCHAR")
		column.Doc = verdictDoc
		columns = append(columns, column)
	}
	return columns
}

// callTypes returns the types of the columns of calls.
func callTypes() []string {
	source := map[string]string{}
	for _, c := range lake.Columns(lake.Events) {
		source[c.Name] = sqlType(c)
	}
	types := make([]string, len(callColumns))
	for i, c := range callColumns {
		switch types[i] = source[strings.Trim(strings.TrimPrefix(c.expr, "e."), `"`)]; {
		case types[i] != "":
		case strings.HasSuffix(c.name, "_tokens"), strings.HasSuffix(c.name, "_ms"):
			types[i] = "BIGINT"
		default:
			types[i] = "VARCHAR"
		}
	}
	return types
}

// viewSQL is the SQL of a view for a demand.
func (db *DB) viewSQL(view string, d *demand) string {
	logFiles := db.logFiles.Files
	if d.typesOnly {
		logFiles = nil
	}
	files := d.chosen(db.events.Files)
	switch view {
	case "log_files":
		return tableSQL(lake.LogFiles, logFiles)
	case "invocations":
		return tableSQL(lake.Invocations, d.chosen(db.invocations.Files))
	case "digests":
		digests := db.digests.Files
		if d.typesOnly {
			digests = nil
		}
		return withVerdict(d, lake.Digests, digests, "object", logFiles)
	case lakeView:
		return lakeSQL(d, files)
	case "calls":
		if d.primaryOnly && !d.tokens && !d.invocations && !d.verdict {
			return primarySQL(d, files)
		}
		between := demand{since: d.since, until: d.until, typesOnly: d.typesOnly}
		invocations := ""
		if chosen := d.around().chosen(db.invocations.Files); len(chosen) > 0 {
			invocations = tableSQL(lake.Invocations, chosen)
		}
		return callsSQL(d, tableSQL(lake.Events, files), tableSQL(lake.Events, between.chosen(db.events.Files)),
			tableSQL(lake.Events, d.around().chosen(db.events.Files)), invocations, verdictSQL(logFiles))
	}
	return withVerdict(d, lake.Events, files, "source_object", logFiles)
}

// withVerdict selects a table's rows, with the verdict on the object that a column names, if that is asked for.
func withVerdict(d *demand, table string, files []lake.DataFile, column string, logFiles []lake.DataFile) string {
	if !d.verdict {
		return columnsOfSQL(named(lake.Columns(table), d.names), files)
	}
	return "SELECT e.*, v.verdict FROM (" + tableSQL(table, files) + ") AS e LEFT JOIN (" + verdictSQL(logFiles) + ") AS v ON v.object = e." + column
}

// tableSQL selects all rows of data files, with the table's columns.
func tableSQL(table string, files []lake.DataFile) string {
	return columnsOfSQL(lake.Columns(table), files)
}

// named returns those of the columns that are wanted, the first if none is: a relation has a column at least.
func named(columns []lake.Column, wanted func(name string) bool) []lake.Column {
	chosen := slices.DeleteFunc(slices.Clone(columns), func(c lake.Column) bool { return !wanted(c.Name) })
	if len(chosen) == 0 {
		return columns[:1]
	}
	return chosen
}

// usedIn tells whether a column of a table may be named in SQL.
func usedIn(text string) func(column string) bool {
	return func(column string) bool { return strings.Contains(text, column) }
}

// columnsOfSQL selects all rows of data files. Files that have all columns are read as they are: DuckDB then reads only those
// members of structs that a query names.
func columnsOfSQL(columns []lake.Column, files []lake.DataFile) string {
	var whole, others []lake.DataFile
	for _, f := range files {
		if f.Whole {
			whole = append(whole, f)
		} else {
			others = append(others, f)
		}
	}
	if len(whole) == 0 {
		return columnsSQL(columns, others)
	}
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = quoteName(c.Name)
	}
	text := "SELECT " + strings.Join(names, ", ") + " FROM read_parquet([" + pathList(whole) + "], hive_partitioning = false)"
	if len(others) > 0 {
		text += " UNION ALL " + columnsSQL(columns, others)
	}
	return text
}

func pathList(files []lake.DataFile) string {
	paths := make([]string, len(files))
	for i, file := range files {
		paths[i] = quoteText(globQuote(file.Local))
	}
	return strings.Join(paths, ", ")
}

// columnsSQL selects columns of data files, found by their ids: columns that a file has no data of are null, and no files at
// all have all columns too.
func columnsSQL(columns []lake.Column, files []lake.DataFile) string {
	parts := make([]string, len(columns))
	if len(files) == 0 {
		for i, c := range columns {
			parts[i] = "CAST(NULL AS " + sqlType(c) + ") AS " + quoteName(c.Name)
		}
		return "SELECT " + strings.Join(parts, ", ") + " WHERE false"
	}
	for i, c := range columns {
		parts[i] = fmt.Sprintf("%d: {name: %s, type: %s, default_value: NULL}", c.ID, quoteText(c.Name), quoteText(sqlType(c)))
	}
	return "SELECT * FROM read_parquet([" + pathList(files) + "], schema = MAP {" + strings.Join(parts, ", ") + "})"
}

// globQuote protects a path from being read as a pattern.
func globQuote(path string) string {
	return strings.NewReplacer("[", "[[]", "*", "[*]", "?", "[?]").Replace(path)
}

// sqlType is DuckDB's name of a column's type.
func sqlType(c lake.Column) string {
	switch {
	case c.Fields != nil:
		parts := make([]string, len(c.Fields))
		for i, f := range c.Fields {
			parts[i] = quoteName(f.Name) + " " + sqlType(f)
		}
		text := "STRUCT(" + strings.Join(parts, ", ") + ")"
		if strings.HasPrefix(c.Type, "list<") {
			text += "[]"
		}
		return text
	case c.Type == "timestamptz":
		return "TIMESTAMPTZ"
	case c.Type == "uuid":
		return "UUID"
	case c.Type == "long":
		return "BIGINT"
	case c.Type == "boolean":
		return "BOOLEAN"
	}
	return "VARCHAR"
}

// otherRoles chooses the events that may be calls and are not primary, and some others. Parquet's reader filters by it; by IN
// it would not.
const otherRoles = `call_role BETWEEN 'copy' AND 'network'`

// callsSQL selects the AI calls among events, one row a call, with the columns that are needed. The relations have the
// columns of events: primary and others are what to choose calls from, around the events that tell of copies and of the ends of
// streams; invocations is of that table, "" when there are none, and verdicts of log files.
//
//   - A record of the API call is the call (call_role primary).
//   - A data-event copy of it (copy) is the call only if the trail recorded nothing else of it, and then once.
//   - A network activity event is a call only when the VPC endpoint refused it: it then reached no service, and no other
//     record tells of it.
//   - The end of a stream (completion) is never a row: it gives its call the tokens and the Region where the model ran. It
//     may stand in another log file, and there may be a data-event copy of it.
//   - An invocation is the call of its request id, account and Region. What a record tells goes before what it tells.
func callsSQL(d *demand, primary, others, around, invocations, verdicts string) string {
	joined := d.invocations && invocations != ""
	text := `SELECT ` + d.callColumns(joined) + ` FROM (
	SELECT * FROM (` + primary + `) WHERE call_role = 'primary'`
	if !d.primaryOnly {
		text += `
	UNION ALL
	SELECT * FROM (` + others + `) AS s
	WHERE ` + otherRoles + `
	AND (s.call_role = 'copy' AND s.parent_request_id IS NULL OR s.call_role = 'network' AND s."errorCode" = 'VpceAccessDenied')
	AND NOT EXISTS (
		SELECT 1 FROM (` + around + `) AS p
		WHERE p.call_role = 'primary' AND p."requestID" = s."requestID"
		AND p."recipientAccountId" IS NOT DISTINCT FROM s."recipientAccountId")
	QUALIFY row_number() OVER (
		PARTITION BY coalesce(s."requestID", CAST(s."eventID" AS VARCHAR), s.source_object || ' ' || s.source_index), s."recipientAccountId"
		ORDER BY s.call_role, s."eventTime", s."eventID") = 1`
	}
	text += `
) AS e`
	if d.tokens {
		text += ` LEFT JOIN (
	SELECT parent_request_id, "recipientAccountId" AS account, max(input_tokens) AS input_tokens,
		max(output_tokens) AS output_tokens, max(inference_region) AS inference_region
	FROM (` + around + `) WHERE parent_request_id IS NOT NULL GROUP BY ALL
) AS d ON d.parent_request_id = e."requestID" AND d.account IS NOT DISTINCT FROM e."recipientAccountId"`
	}
	if joined {
		text += ` LEFT JOIN (` + invocations + `) AS i ON i.request_id = e."requestID"
	AND i.account IS NOT DISTINCT FROM e."recipientAccountId" AND i.region IS NOT DISTINCT FROM e."awsRegion"`
	}
	if d.verdict {
		text += ` LEFT JOIN (` + verdicts + `) AS v ON v.object = e.source_object`
	}
	return text
}

// primarySQL is callsSQL where the primary records alone are the calls, and nothing else is asked for.
func primarySQL(d *demand, files []lake.DataFile) string {
	selected := d.callColumns(false)
	columns := named(lake.Columns(lake.Events), usedIn(selected+" call_role"))
	return "SELECT " + selected + " FROM (" + columnsOfSQL(columns, files) + ") AS e WHERE call_role = 'primary'"
}

// callColumns selects the columns of calls that are wanted; joined tells whether there are invocations to select from.
func (d *demand) callColumns(joined bool) string {
	var selected []string
	for _, c := range callColumns {
		if !d.names(c.name) || !d.tokens && slices.Contains(tokenColumns, c.name) || !d.invocations && slices.Contains(invocationColumns, c.name) ||
			!d.verdict && c.name == verdictColumn {
			continue
		}
		expr := c.expr
		if !joined {
			expr = withoutInvocations(c.name, expr)
		}
		selected = append(selected, expr+" AS "+c.name)
	}
	if selected == nil { // as for count(*)
		selected = []string{callColumns[0].expr + " AS " + callColumns[0].name}
	}
	return strings.Join(selected, ", ")
}

// streamTime is how long after a call began its record and the end of its stream may be apart.
const streamTime = 24 * time.Hour

// within returns the files that may hold events of since ≤ eventTime < until; a zero time is no bound.
func within(files []lake.DataFile, since, until time.Time) []lake.DataFile {
	var chosen []lake.DataFile
	for _, f := range files {
		first, last := f.First, f.Last
		if first.IsZero() && !f.Day.IsZero() {
			first = f.Day
		}
		if last.IsZero() && !f.Day.IsZero() {
			last = f.Day.Add(24*time.Hour - time.Nanosecond)
		}
		switch {
		case first.IsZero() != last.IsZero(): // half known
		case first.IsZero() && (!since.IsZero() || !until.IsZero()): // events without a time are in no span
			continue
		case !since.IsZero() && last.Before(since), !until.IsZero() && !first.Before(until):
			continue
		}
		chosen = append(chosen, f)
	}
	return chosen
}
