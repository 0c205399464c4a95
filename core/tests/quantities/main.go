// Writes what Kubernetes' own package makes of texts as quantities: the text as JSON, a tab, and its value in billionths or
// `refused`. The README beside it says how to run it.
package main

import (
	"encoding/json"
	"fmt"

	"gopkg.in/inf.v0"
	"k8s.io/apimachinery/pkg/api/resource"
)

func main() {
	numbers := []string{
		"0", "1", "5", "10", "100", "1000", "1024", "1073741824", "0.5", "1.5", ".5", "5.", "+1.5", "-1", "007", "0.001",
		"0.0000000001", "1.0000000001", "9223372036854775807", "9223372036854775808", "99999999999999999999",
	}
	suffixes := []string{
		"", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "e3", "E3", "e-3", "e+3", "E-12",
	}
	texts := []string{
		"", ".", "-", "+", "-.", "lots", "64 MB", "64MB", "1.2.3", "1e", "1e+", "Mi", "1ki", "1K", "1mi", " 1", "1 ", "１",
		"1e99999999999999999999", "1e2.5", "0x10", "1_000", "--1", "+-1", "1i", "1Kii", "1nE", "Infinity", "NaN",
		"0.1Ei", "0.000000000000000000000000000001Ei", "1.0000000000000000000000001Ei", "1.23456789012345678901234567890Gi",
		"7.999999999999999999999999Ei", "8Ei", "1000000Ei", "0.00000000000000000000000000001k",
		"123456789.123456789123456789", "1e15", "1e18", "12e-9", "12e-10",
	}
	for _, number := range numbers {
		for _, suffix := range suffixes {
			texts = append(texts, number+suffix)
		}
	}
	for _, text := range texts {
		shown, _ := json.Marshal(text)
		quantity, err := resource.ParseQuantity(text)
		if err != nil {
			fmt.Printf("%s\trefused\n", shown)
			continue
		}
		amount := new(inf.Dec).Mul(quantity.AsDec(), inf.NewDec(1_000_000_000, 0))
		fmt.Printf("%s\t%s\n", shown, amount.Round(amount, 0, inf.RoundUp).UnscaledBig())
	}
}
