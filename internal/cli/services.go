package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/aitrail/aitrail/internal/catalog"
)

func (a *app) servicesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "services [SERVICE]",
		Short: "The AI services that aitrail knows, or one service's operations",
		Long: `List the AI services of the catalog: under which event source CloudTrail records each, and which of its operations are
management events (recorded by every trail) and which are data events (recorded only where selectors ask for them). With a
SERVICE, list its operations. The columns named grounding say how far a value can be trusted: documented, observed, by
elimination, inferred, guess, not documented. Nothing was checked against a live account.`,
		Example: "  aitrail services\n  aitrail services bedrock",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("services takes one service, got %q", args)
			}
			return nil
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return serviceKeys(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				columns, rows := serviceTable()
				return a.printColumns(columns, rows, "service", "state", "event_source", "management", "data", "unknown", "data_event_types")
			}
			s, err := service(args[0])
			if err != nil {
				return err
			}
			columns, rows := operationTable(s)
			return a.printColumns(columns, rows, "operation", "class", "category", "category_grounding", "read_only", "data_event_types")
		},
	}
}

// printColumns prints all columns as JSON and CSV, and as a table some, their lists cut to what a line has room for.
func (a *app) printColumns(columns []string, rows [][]any, some ...string) error {
	if a.output != "table" {
		return a.print(columns, rows)
	}
	for i, row := range rows {
		short := make([]any, len(some))
		for j, name := range some {
			short[j] = row[slices.Index(columns, name)]
			if list, ok := short[j].(string); ok {
				short[j] = fewWords(list)
			}
		}
		rows[i] = short
	}
	return a.print(some, rows)
}

// fewWords names the first of a list of names.
func fewWords(list string) string {
	names := strings.Split(list, " ")
	if len(list) <= 45 || len(names) == 1 {
		return list
	}
	return fmt.Sprintf("%s and %d more", names[0], len(names)-1)
}

// service finds a service by key.
func service(key string) (*catalog.Service, error) {
	s, ok := catalog.ByKey(key)
	if !ok {
		if near := catalog.Nearest(key); near != "" {
			return nil, usagef("unknown AI service %q; did you mean %q?", key, near)
		}
		return nil, usagef("unknown AI service %q; aitrail services lists them", key)
	}
	return s, nil
}

func serviceKeys() []string {
	var keys []string
	for _, s := range catalog.Services() {
		keys = append(keys, s.Key)
	}
	return keys
}

func serviceTable() (columns []string, rows [][]any) {
	columns = []string{"service", "name", "category", "state", "event_source", "event_source_grounding", "management", "data", "unknown", "data_event_types"}
	for _, s := range catalog.Services() {
		var n [3]int64
		for _, o := range s.Operations {
			n[o.Category]++
		}
		rows = append(rows, []any{s.Key, s.Name, s.Category, s.State, strings.Join(s.EventSources, " "), s.EventSourceGrounding.String(),
			n[catalog.Management], n[catalog.Data], n[catalog.CategoryUnknown], int64(len(s.DataTypes))})
	}
	return columns, rows
}

func operationTable(s *catalog.Service) (columns []string, rows [][]any) {
	columns = []string{"operation", "api", "class", "category", "category_grounding", "read_only", "read_only_grounding", "data_event_types"}
	for _, o := range s.Operations {
		rows = append(rows, []any{o.Name, o.API, string(o.Class), o.Category.String(), o.CategoryGrounding.String(), o.ReadOnly,
			o.ReadOnlyGrounding.String(), strings.Join(o.DataTypes, " ")})
	}
	return columns, rows
}
