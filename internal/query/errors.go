package query

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// ErrNotFound is returned for an event that isn't in the lake.
var ErrNotFound = errors.New("no such event in the lake")

// ErrTimeout is wrapped by the errors of queries that ran longer than Options.Timeout.
var ErrTimeout = errors.New("query ran longer than allowed")

// ErrRemote is returned by Open for Tables of a lake in a bucket that are no Fetcher.
var ErrRemote = errors.New("data files outside the file system can't be queried")

// Kind says what is wrong with a query.
type Kind string

// Kinds of errors.
const (
	NotAllowed   Kind = "not allowed"   // statements and functions that do other things than reading the lake
	Syntax       Kind = "syntax"        // not SQL as DuckDB speaks it
	Unknown      Kind = "unknown"       // a table, column, function, type or field of a name that there is not
	Invalid      Kind = "invalid"       // wrong types, wrong arguments, values that can't be converted
	OutOfMemory  Kind = "out of memory" // more memory or temporary space needed than Options grant
	Timeout      Kind = "timeout"       // wraps ErrTimeout
	Input        Kind = "input"         // a data file that can't be read
	Internal     Kind = "internal"      // DuckDB fails, through no fault of the query; all that the DB is asked after it fails too
	Unclassified Kind = "error"         // whatever else DuckDB says
)

// Error tells why a query can't be run.
type Error struct {
	Kind      Kind
	Construct string   // what can't be run, as it stands in the query: a keyword, function, table or column; "" when unknown
	Message   string   // in words, one line
	Line, Col int      // where the construct stands, from 1; Col counts characters; 0 when unknown
	Nearest   []string // names that may have been meant, best first

	err error
}

// Error returns the message with the place and what may have been meant.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Line > 0 {
		fmt.Fprintf(&b, "line %d, column %d: ", e.Line, e.Col)
	}
	b.WriteString(e.Message)
	if len(e.Nearest) > 0 {
		fmt.Fprintf(&b, "; did you mean %s?", joinOr(e.Nearest))
	}
	return b.String()
}

// Unwrap returns ErrTimeout for queries that ran too long.
func (e *Error) Unwrap() error { return e.err }

func joinOr(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = strconv.Quote(n)
	}
	if n := len(quoted) - 1; n > 0 {
		return strings.Join(quoted[:n], ", ") + " or " + quoted[n]
	}
	return quoted[0]
}

// at sets the place of the error to a byte offset of the query.
func (e *Error) at(query string, offset int) *Error {
	if offset < 0 || offset > len(query) {
		return e
	}
	before := query[:offset]
	e.Line = 1 + strings.Count(before, "\n")
	e.Col = 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
	if e.Construct == "" {
		e.Construct = tokenAt(query, offset)
	}
	return e
}

// failure is DuckDB's own account of an error, as it gives it with errors_as_json.
type failure struct {
	Exception  string `json:"exception_type"`
	Message    string `json:"exception_message"`
	Subtype    string `json:"error_subtype"`
	Type       string `json:"type"`
	Name       string `json:"name"`
	Candidates string `json:"candidates"`
	Position   string `json:"position"`
}

// kinds maps DuckDB's exception types; those not here are Unclassified.
func (f *failure) kind() Kind {
	switch f.Exception {
	case "Permission":
		return NotAllowed
	case "Parser", "Syntax":
		return Syntax
	case "Catalog":
		return Unknown
	case "Binder":
		if strings.HasSuffix(f.Subtype, "NOT_FOUND") {
			return Unknown
		}
		return Invalid
	case "Conversion", "Invalid Input", "Out of Range", "Mismatch Type", "Invalid type", "Divide by Zero", "Expression",
		"Parameter Not Resolved", "Parameter Not Allowed", "Not implemented", "Decimal":
		return Invalid
	case "Out of Memory":
		return OutOfMemory
	case "IO", "Serialization":
		return Input
	case "INTERNAL", "FATAL":
		return Internal
	}
	return Unclassified
}

// explain makes an *Error of DuckDB's error about a query. place tells where in the query a byte of the text that
// ran stands; without it that isn't known.
func explain(err error, query string, place func(at int) int) *Error {
	text := err.Error()
	f := failure{Message: text}
	if i := strings.IndexByte(text, '{'); i >= 0 {
		if json.Unmarshal([]byte(text[i:]), &f) != nil {
			f = failure{Message: text}
		}
	}
	e := &Error{Kind: f.kind(), Construct: f.Name, Message: clean(f.Message), err: nil}
	if e.Kind == Unknown && f.Candidates != "" {
		e.Nearest = nearestOf(f.Name, splitNames(f.Candidates))
	}
	if p, err := strconv.Atoi(f.Position); err == nil && place != nil {
		e.at(query, place(p))
	}
	return e
}

// clean keeps the first line of DuckDB's message, which says what is wrong; candidates, the statement and advice about
// settings that can't be changed here follow it.
func clean(message string) string {
	message, _, _ = strings.Cut(strings.TrimSpace(message), "\n")
	message, _, _ = strings.Cut(message, `. Use "SET `)
	message = strings.TrimRight(message, " !.")
	if r, size := utf8.DecodeRuneInString(message); r >= 'A' && r <= 'Z' {
		if next, _ := utf8.DecodeRuneInString(message[size:]); next >= 'a' && next <= 'z' {
			message = strings.ToLower(message[:size]) + message[size:]
		}
	}
	return message
}

func splitNames(list string) []string {
	names := strings.Split(list, ",")
	for i := range names {
		names[i] = strings.TrimSpace(names[i])
	}
	return names
}

func timeoutError(limit time.Duration) *Error {
	return &Error{Kind: Timeout, Message: fmt.Sprintf("the query ran longer than %v", limit), err: ErrTimeout}
}
