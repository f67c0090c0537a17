package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/aitrail/aitrail/internal/provision/live"
)

func (a *app) doctorCommand() *cobra.Command {
	var f setupFlags
	var policy, all bool
	c := &cobra.Command{
		Use: "doctor", Short: "Compare the account with the set-up: what is not recorded, and the fix",
		Long: `Compare the account of the AWS credentials with the set-up, and look for what else keeps AI calls from being recorded, delivered
and kept: events that no trail selects, deliveries that fail, a bucket that is open, trails that record the same twice. It only
reads. Beside each check stand the controls of Security Hub and CIS that ask the same.

Exit code 3 means that something is missing or has drifted. What may not be read is unknown, and the other checks go on.`,
		Example: "  aitrail doctor\n  aitrail doctor -o json\n  aitrail doctor --print-policy      the rights it needs",
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			at, err := a.connect(c.Context(), &f)
			if err != nil {
				return err
			}
			if policy {
				return a.printJSON([]byte(at.setup.DoctorPolicy()))
			}
			return a.doctor(c.Context(), at, all)
		},
	}
	f.add(c.Flags())
	c.Flags().BoolVar(&policy, "print-policy", false, "print the least IAM policy that the checks need")
	c.Flags().BoolVar(&all, "all", false, "show checks that are ok, too (JSON and CSV have all)")
	return c
}

func (a *app) doctor(ctx context.Context, at *place, all bool) error {
	checks, err := at.check(ctx)
	if err != nil {
		return err
	}
	counts := map[live.Status]int{}
	found := false
	var list [][]any
	for _, c := range checks {
		counts[c.Status]++
		found = found || c.Found()
		if c.Status == live.OK && !all && a.output == "table" {
			continue
		}
		list = append(list, []any{string(c.Status), c.ID, c.Title, c.Detail, c.Fix, strings.Join(c.Controls, ", ")})
	}
	if a.output == "json" {
		text, err := json.Marshal(checks)
		if err != nil {
			return err
		}
		if err := a.printJSON(text); err != nil {
			return err
		}
	} else if a.output == "csv" {
		if err := a.print([]string{"status", "id", "title", "detail", "fix", "controls"}, list); err != nil {
			return err
		}
	} else {
		a.checklist(list)
	}
	fmt.Fprintf(a.Stderr, "%s in %s: %d checks ok, %d drifted, %d missing, %d unknown, %d notes\n",
		at.setup.Account, at.setup.Region, counts[live.OK], counts[live.Drift], counts[live.Missing], counts[live.Unknown], counts[live.Note])
	if found {
		return errFound
	}
	if counts[live.Unknown] > 0 {
		return errUnknown
	}
	return nil
}

// checklist shows checks in lines: what is wrong takes more than a table's cell holds. A fix that is that of several checks in
// a row is named once, after them.
func (a *app) checklist(list [][]any) {
	for i, row := range list {
		status, title, detail, fix, controls := row[0].(string), visible(row[2].(string)), visible(row[3].(string)), visible(row[4].(string)), row[5].(string)
		fmt.Fprintf(a.Stdout, "%-8s %s", status, title)
		if len(detail) > 0 && len(title)+len(detail) < 90 {
			title, detail = "", ": "+detail
			fmt.Fprint(a.Stdout, detail)
		}
		if controls != "" {
			fmt.Fprintf(a.Stdout, "  [%s]", controls)
		}
		fmt.Fprintln(a.Stdout)
		if detail != "" && title != "" {
			fmt.Fprintf(a.Stdout, "         %s\n", detail)
		}
		if fix != "" && (i+1 == len(list) || list[i+1][4] != row[4]) {
			fmt.Fprintf(a.Stdout, "         fix: %s\n", fix)
		}
	}
}
