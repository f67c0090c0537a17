package query

import (
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/duckdb/duckdb-go/v2"
	"github.com/google/uuid"
)

// Column is a column of a result.
type Column struct {
	Name string
	Type string // as DuckDB spells it: "VARCHAR", "TIMESTAMPTZ", "STRUCT(a BIGINT)[]", "JSON"
	Doc  string // what it holds; of columns of views only, see Columns

	typ *valueType
}

func newColumn(name, typ string) Column {
	typ = strings.ReplaceAll(typ, "TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ")
	typ = strings.ReplaceAll(typ, "TIME WITH TIME ZONE", "TIMETZ")
	return Column{Name: name, Type: typ, typ: parseType(typ)}
}

// Rows is the result of a query. It isn't safe for concurrent use. The caller must close it.
type Rows struct {
	session *session
	result  *result
	columns []Column
	raw     []driver.Value
	values  []any
	err     error
	closed  bool
}

// Columns returns the columns in their order; a name may occur twice.
func (r *Rows) Columns() []Column { return r.columns }

// Next goes to the next row; false means that there is none, or that reading it failed (see Err).
func (r *Rows) Next() bool {
	if r.closed || r.err != nil {
		return false
	}
	if err := r.result.Next(r.raw); err != nil {
		if !errors.Is(err, errEnd) {
			r.err = explain(err, "", nil)
		}
		return false
	}
	for i := range r.raw {
		r.values[i] = value(r.raw[i], r.columns[i].typ)
	}
	return true
}

// Values returns the row, a value a column, valid until Next is called. A value is one of
//
//   - nil, bool, int64, float64, string;
//   - json.Number: integers beyond int64, decimals;
//   - time.Time, in UTC: timestamps with and without time zone. Dates, times of day and intervals are strings;
//   - json.RawMessage: values of type JSON, as they stand;
//   - []byte: BLOB. UUIDs, enums and bit strings are strings;
//   - []any: lists and arrays; Object: structs and maps; their parts are of the same types.
func (r *Rows) Values() []any { return r.values }

// Err returns the error that ended Next, if any.
func (r *Rows) Err() error { return r.err }

// Close releases the result. It may be called more than once.
func (r *Rows) Close() error {
	if r.closed {
		return nil
	}
	r.closed = true
	return errors.Join(r.result.Close(), r.session.close())
}

// Object is a struct's or map's members in their order.
type Object []Member

// Member is a member of an Object.
type Member struct {
	Name  string
	Value any
}

// MarshalJSON implements json.Marshaler; see AppendJSON.
func (o Object) MarshalJSON() ([]byte, error) { return AppendJSON(nil, o), nil }

// plainTypes lists the scalar types that the driver gives without loss.
var plainTypes = strings.Fields(`BOOLEAN TINYINT SMALLINT INTEGER BIGINT UTINYINT USMALLINT UINTEGER UBIGINT HUGEINT UHUGEINT
	BIGNUM FLOAT DOUBLE VARCHAR BLOB BIT UUID DATE TIME TIMETZ TIMESTAMP TIMESTAMP_S TIMESTAMP_MS TIMESTAMP_NS TIMESTAMPTZ
	INTERVAL JSON`)

// given tells whether the driver gives values of the type; it fails on maps whose keys can't be compared.
func given(t *valueType) bool {
	switch {
	case t.elem != nil:
		return given(t.elem)
	case t.base == "MAP":
		return len(t.fields) == 2 && t.fields[0].typ.fields == nil && t.fields[0].typ.elem == nil &&
			t.fields[0].typ.base != "BLOB" && given(t.fields[0].typ) && given(t.fields[1].typ)
	case t.fields != nil:
		for _, f := range t.fields {
			if !given(f.typ) {
				return false
			}
		}
		return true
	}
	return slices.Contains(plainTypes, t.base) || strings.HasPrefix(t.base, "DECIMAL(") || strings.HasPrefix(t.base, "ENUM(")
}

// plain returns what to put before and after a SELECT so that JSON arrives as it stands, and not decoded with loss, and
// other types that the driver can't give as text; "" and "" if there is nothing of the kind. It sets the columns' types.
func plain(columns []Column) (head, tail string) {
	wrapped := false
	selected, names := make([]string, len(columns)), make([]string, len(columns))
	for i := range columns {
		c := &columns[i]
		names[i] = "c" + strconv.Itoa(i)
		selected[i] = names[i]
		switch {
		case !given(c.typ):
			selected[i] = "CAST(" + names[i] + " AS VARCHAR)"
			c.typ = parseType("VARCHAR")
			wrapped = true
		case c.typ.holds("JSON"):
			selected[i] = "CAST(" + names[i] + " AS " + c.typ.replaced("JSON", "VARCHAR") + ")"
			wrapped = true
		}
		selected[i] += " AS " + quoteName(c.Name)
	}
	if !wrapped {
		return "", ""
	}
	return "SELECT " + strings.Join(selected, ", ") + " FROM (\n", "\n) AS q(" + strings.Join(names, ", ") + ")"
}

// value makes a value of the driver's one of those that Values documents.
func value(v any, t *valueType) any {
	switch v := v.(type) {
	case nil, bool, int64, float64:
		return v
	case string:
		if t.base == "JSON" {
			return json.RawMessage(v)
		}
		return v
	case []byte:
		if id, err := uuid.FromBytes(v); err == nil && t.base == "UUID" {
			return id.String()
		}
		return v
	case time.Time:
		return timeValue(v, t)
	case []any:
		return listValue(v, t)
	case map[string]any:
		return structValue(v, t)
	case duckdb.OrderedMap:
		return mapValue(v, t)
	case duckdb.Union:
		for _, f := range t.fields {
			if f.name == v.Tag {
				return value(v.Value, f.typ)
			}
		}
		return value(v.Value, &valueType{})
	case duckdb.Interval:
		return interval(v)
	case duckdb.Bit:
		return v.String()
	}
	return number(v)
}

func number(v any) any {
	switch v := v.(type) {
	case int8:
		return int64(v)
	case int16:
		return int64(v)
	case int32:
		return int64(v)
	case uint8:
		return int64(v)
	case uint16:
		return int64(v)
	case uint32:
		return int64(v)
	case uint64:
		return number(new(big.Int).SetUint64(v))
	case float32: // its own digits, not those of the nearest float64
		f, _ := strconv.ParseFloat(strconv.FormatFloat(float64(v), 'g', -1, 32), 64)
		return f
	case *big.Int:
		if v.IsInt64() {
			return v.Int64()
		}
		return json.Number(v.String())
	case duckdb.Decimal:
		return json.Number(v.String())
	}
	return fmt.Sprint(v)
}

func timeValue(v time.Time, t *valueType) any {
	switch t.base {
	case "DATE":
		return v.Format(time.DateOnly)
	case "TIME":
		return v.Format("15:04:05.999999")
	case "TIMETZ":
		return v.Format("15:04:05.999999Z07:00")
	}
	return v.UTC()
}

func listValue(v []any, t *valueType) any {
	elem := t.elem
	if elem == nil {
		elem = &valueType{}
	}
	list := make([]any, len(v))
	for i := range v {
		list[i] = value(v[i], elem)
	}
	return list
}

func structValue(v map[string]any, t *valueType) any {
	object := make(Object, 0, len(v))
	for _, f := range t.fields {
		object = append(object, Member{f.name, value(v[f.name], f.typ)})
	}
	return object
}

func mapValue(v duckdb.OrderedMap, t *valueType) any {
	key, val := &valueType{}, &valueType{}
	if len(t.fields) == 2 {
		key, val = t.fields[0].typ, t.fields[1].typ
	}
	object := make(Object, 0, v.Len())
	values := v.Values()
	for i, k := range v.Keys() {
		object = append(object, Member{Text(value(k, key)), value(values[i], val)})
	}
	return object
}

// interval spells an interval as DuckDB does: "1 year 2 months 3 days 04:05:06.5".
func interval(v duckdb.Interval) string {
	var parts []string
	add := func(n int32, unit string) {
		switch n {
		case 0:
		case 1, -1:
			parts = append(parts, fmt.Sprintf("%d %s", n, unit))
		default:
			parts = append(parts, fmt.Sprintf("%d %ss", n, unit))
		}
	}
	add(v.Months/12, "year")
	add(v.Months%12, "month")
	add(v.Days, "day")
	if v.Micros != 0 || len(parts) == 0 {
		sign, micros := "", v.Micros
		if micros < 0 {
			sign, micros = "-", -micros
		}
		seconds := micros / 1e6
		text := fmt.Sprintf("%s%02d:%02d:%02d", sign, seconds/3600, seconds/60%60, seconds%60)
		if rest := micros % 1e6; rest != 0 {
			text += strings.TrimRight(fmt.Sprintf(".%06d", rest), "0")
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, " ")
}
